import { constants } from 'node:fs'
import {
  chmod,
  chown,
  copyFile,
  cp,
  mkdtemp,
  readFile,
  readdir,
  rm,
  stat,
  symlink,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { command, output } from '../support/command.ts'
import { writeConfigurations } from './configuration.ts'

const root = resolve(import.meta.dirname, '../..')
const dockerfile = await readFile(join(root, 'Dockerfile'), 'utf8')
let folder = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-image-'))
})

afterAll(() => rm(folder, { recursive: true, force: true }))

describe('the Dockerfile', () => {
  test('copies only files that exist and that .dockerignore includes', async () => {
    const ignore = (await readFile(join(root, '.dockerignore'), 'utf8')).split('\n')
    const sources = copiedSources()
    expect(sources).toContain('src')
    for (const source of sources) {
      expect(ignore).toContain(`!${source}`)
      await expect(stat(join(root, source))).resolves.toBeDefined()
    }
  })

  test('uses the Node version of package.json', async () => {
    const { devDependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
      devDependencies: { node: string }
    }
    expect(dockerfile).toContain(`ARG NODE_IMAGE=node:${devDependencies.node}-`)
  })

  test('starts Node without the debugger that a signal would open, and with options that save memory', () => {
    expect(entrypoint()).toEqual([
      ...['node', '--disable-sigusr1', '--min-semi-space-size=4', '--max-semi-space-size=8'],
      '/opt/gatehouse/dist/main.js',
    ])
    expect(dockerfile).toMatch(/^ENV .*\bMALLOC_ARENA_MAX=1\b/m)
  })

  test('runs as a numeric user that is not root', () => {
    expect(dockerfile.match(/^USER .*$/gm)).toEqual(['USER 65532:65532'])
  })
})

/** The steps of the Dockerfile, in a folder instead of an image. */
describe('the content of the image', () => {
  beforeAll(() => installInto(join(folder, 'image')))

  test('runs as another user in folders to which it cannot write', async () => {
    const image = join(folder, 'image')
    const { good } = await writeConfigurations(folder)
    await openToReaders(folder)
    const run = await command(
      join(image, 'node'),
      [join(image, 'dist/main.js'), 'validate', '--config', good],
      { ...imageUser(), cwd: '/', env: { NODE_ENV: 'production' } },
    )
    expect(run).toMatchObject({ code: 0, stderr: '' })
    expect(await readdir(image)).not.toContain('node_modules')
    const again = await command(join(image, 'node'), [join(image, 'dist/main.js'), '--version'], {
      ...imageUser(),
      cwd: '/',
      env: { NODE_ENV: 'production', NODE_DEBUG_NATIVE: 'COMPILE_CACHE' },
    })
    expect(again.stderr).toMatch(/code cache for ESM .*cli\.js was accepted/)
  })

  test('has the code of the server for V8 with the options of the image', async () => {
    const module = pathToFileURL(join(root, 'src/cli/server-script.ts')).href
    const loaded = `loadServerScript(${JSON.stringify(join(folder, 'image', 'dist'))})`
    const program = `import { loadServerScript } from '${module}'
console.log(${loaded}.script.cachedDataRejected)`
    const [, ...words] = entrypoint()
    const options = words.slice(0, -1)
    const args = [...options, '--input-type=module', '--eval', program]
    expect(await output(process.execPath, args)).toBe('false\n')
  })
})

function entrypoint(): string[] {
  const [, words = '[]'] = /^ENTRYPOINT (.*)$/m.exec(dockerfile) ?? []
  return JSON.parse(words) as string[]
}

/** The sources of COPY from the checkout, without those from another stage. */
function copiedSources(): string[] {
  return dockerfile
    .split('\n')
    .filter((line) => line.startsWith('COPY ') && !line.includes('--from='))
    .flatMap((line) => line.split(' ').slice(1, -1))
    .map((source) => source.replace(/^\.\//, ''))
}

async function installInto(image: string): Promise<void> {
  const build = join(image, '..', 'build')
  for (const source of copiedSources()) {
    await cp(join(root, source), join(build, source), { recursive: true })
  }
  await symlink(join(root, 'node_modules'), join(build, 'node_modules'))
  const rolldown = join(root, 'node_modules/rolldown/bin/cli.mjs')
  await output(process.execPath, [rolldown, '-c', 'rolldown.config.ts'], { cwd: build })
  await cp(join(build, 'dist'), join(image, 'dist'), { recursive: true })
  await cp(join(root, 'package.json'), join(image, 'package.json'))
  // The Node of the tests may be in a folder that other users cannot read.
  await copyFile(process.execPath, join(image, 'node'), constants.COPYFILE_FICLONE)
}

/** Makes files readable for the group of the image, as the kubelet mounts them (fsGroup, mode 0440). */
async function openToReaders(directory: string): Promise<void> {
  await chmod(directory, 0o755)
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (!entry.isFile()) continue
    const { gid } = imageUser()
    if (gid !== undefined) await chown(join(directory, entry.name), 0, gid)
    await chmod(join(directory, entry.name), 0o440)
  }
  await chmod(join(directory, 'image', 'node'), 0o755)
}

/** The user of the image if the tests run as root, else the user of the tests, who is not root either. */
function imageUser(): { readonly uid?: number; readonly gid?: number } {
  return process.getuid?.() === 0 ? { uid: 65_532, gid: 65_532 } : {}
}
