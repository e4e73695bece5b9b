import { expect, test } from 'vitest'

import { resolveConfigFile } from '../../src/cli/config-file.ts'

const npm = {
  INIT_CWD: '/gatehouse/docs',
  npm_lifecycle_event: 'gatehouse',
  npm_lifecycle_script: 'exec node src/main.ts',
  npm_package_json: '/gatehouse/package.json',
}
const FILE = '../config/gatehouse.yaml'

test.for([
  ['without npm is left as it is', '/gatehouse', {}, FILE],
  [
    'typed behind npm run is relative to where npm was called',
    '/gatehouse',
    npm,
    '/gatehouse/config/gatehouse.yaml',
  ],
  [
    'of the script itself is relative to the package',
    '/gatehouse',
    { ...npm, npm_lifecycle_script: `gatehouse serve --config ${FILE}` },
    FILE,
  ],
  ['of a program that a script started elsewhere is relative to there', '/srv', npm, FILE],
  [
    'typed where npm changes no folder is left as it is',
    '/gatehouse',
    { ...npm, INIT_CWD: '/gatehouse' },
    FILE,
  ],
  ['with INIT_CWD of somebody else is left as it is', '/gatehouse', { INIT_CWD: '/x' }, FILE],
] as const)('a path %s', ([, cwd, env, expected]) => {
  expect(resolveConfigFile(FILE, { cwd, env })).toBe(expected)
})

test('an absolute path stays', () => {
  expect(resolveConfigFile('/etc/g.yaml', { cwd: '/gatehouse', env: npm })).toBe('/etc/g.yaml')
})
