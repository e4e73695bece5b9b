import { expect, test } from 'vitest'

import { resolveConfigFile } from '../../src/cli/config-file.ts'

const npm = {
  INIT_CWD: '/gatehouse/docs',
  npm_lifecycle_event: 'gatehouse',
  npm_lifecycle_script: 'exec node src/start.ts',
  npm_package_json: '/gatehouse/package.json',
}
const FILE = '../config/gatehouse.yaml'

test.for([
  ['without npm is returned unchanged', '/gatehouse', {}, FILE],
  [
    'typed after npm run is relative to where npm was called',
    '/gatehouse',
    npm,
    '/gatehouse/config/gatehouse.yaml',
  ],
  [
    'in the script itself is relative to the package',
    '/gatehouse',
    { ...npm, npm_lifecycle_script: `gatehouse serve --config ${FILE}` },
    FILE,
  ],
  ['given to a program that a script starts elsewhere is returned unchanged', '/srv', npm, FILE],
  [
    'typed where npm does not change the directory is returned unchanged',
    '/gatehouse',
    { ...npm, INIT_CWD: '/gatehouse' },
    FILE,
  ],
  [
    'is returned unchanged if INIT_CWD does not come from npm',
    '/gatehouse',
    { INIT_CWD: '/x' },
    FILE,
  ],
] as const)('a path %s', ([, cwd, env, expected]) => {
  expect(resolveConfigFile(FILE, { cwd, env })).toBe(expected)
})

test('an absolute path is returned unchanged', () => {
  expect(resolveConfigFile('/etc/g.yaml', { cwd: '/gatehouse', env: npm })).toBe('/etc/g.yaml')
})
