/** Rules as the real kubectl and helm see them: a deny of exec, and the examples of config/ and docs/. */
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'

import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { parse } from 'yaml'

import { part, partsAvailable } from '../../dev/parts/parts.ts'
import { newNamespace } from '../support/cluster.ts'
import { overSPDY } from '../support/kubectl.ts'
import { command, type CommandResult } from '../support/command.ts'
import { readShippedRules, startSite, type Site } from '../support/site.ts'
import { CREDENTIALS, withToken, type User } from '../support/users.ts'

const WRITES = ['create', 'update', 'patch', 'delete', 'deletecollection']
const PROTOCOLS = { WebSocket: {}, SPDY: overSPDY } as const

describe.skipIf(!inject('hasParts')).for([['*'], ['pods/*']])(
  'a deny of all writes on %j',
  (resources) => {
    let site: Site

    beforeAll(async () => {
      const shipped = await readShippedRules()
      const deny = {
        name: 'read-only',
        effect: 'deny',
        verbs: WRITES,
        resources: [{ apiGroups: ['*'], resources }],
      }
      const rules = { ...shipped, rules: [deny, ...shipped.rules], tests: [] }
      site = await startSite({ namespace: newNamespace(), rules })
    })

    afterAll(() => site.stop())

    test.for(CREDENTIALS)('leaves reads and logs open to a user with a %s', async (credential) => {
      const { kubectl } = site.users[credential]
      expect(await kubectl(['get', 'pod', 'web', '-o', 'name'])).toMatchObject({ code: 0 })
      expect(await kubectl(['logs', 'web', '--tail=1'])).toMatchObject({ code: 0 })
    })

    describe.each(Object.entries(PROTOCOLS))('over %s', (_protocol, env) => {
      test.for([
        ['exec', 'web', '--', 'true'],
        ['attach', 'web'],
        ['port-forward', 'pod/web', ':80'],
      ])('denies kubectl %s', async (args) => {
        const { code, stderr } = await site.users['client certificate'].kubectl(args, { env })
        expect(code).toBe(1)
        expect(stderr).toContain('denied by Gatehouse rule "read-only"')
      })
    })
  },
)

const root = resolve(import.meta.dirname, '../..')
const hasHelm = (await partsAvailable(['helm'])).available

interface Rules {
  readonly rules: readonly { readonly name: string; readonly mode?: string }[]
  readonly tests: readonly unknown[]
}

/** config/rules.yaml with the commented rule in place of rbac-decides, as its comment proposes. */
async function readStricterExample(): Promise<Rules> {
  const text = await readFile(join(root, 'config/rules.yaml'), 'utf8')
  const comment = /^ {2}# - name: engineers-read\n(?: {2}#.*\n)+/m.exec(text)?.[0] ?? ''
  const proposed = parse(comment.replaceAll(/^ {2}# ?/gm, '')) as Rules['rules']
  const { rules, ...shipped } = parse(text) as Rules
  return {
    ...shipped,
    rules: rules.flatMap((rule) => (rule.name === 'rbac-decides' ? proposed : [rule])),
    // Its tests are about rbac-decides, too.
    tests: [],
  }
}

/** The rule of docs/everyday.md, in shadow mode as there, and its test. */
async function readEverydayExample(): Promise<{ rule: Rules['rules'][number]; test: unknown }> {
  const text = await readFile(join(root, 'docs/everyday.md'), 'utf8')
  const [rules, tests] = [...text.matchAll(/^```yaml\n(.*?)^```$/gms)].map(
    ([, block = '']) => parse(block) as unknown[],
  )
  return { rule: rules?.[0] as Rules['rules'][number], test: tests?.[0] }
}

/** A user with a home folder of their own, so that kubectl and helm have no discovery cache. */
async function helmOf({ kubeconfig, home }: User, ...args: string[]): Promise<CommandResult> {
  return command(await part('helm'), args, {
    cwd: home,
    env: { PATH: process.env['PATH'], HOME: home, KUBECONFIG: kubeconfig },
  })
}

async function writeChart(folder: string): Promise<string> {
  const chart = await mkdtemp(join(folder, 'chart-'))
  await mkdir(join(chart, 'templates'))
  await writeFile(
    join(chart, 'Chart.yaml'),
    'apiVersion: v2\nname: example\nversion: 1.0.0\ndescription: A test\n',
  )
  await writeFile(
    join(chart, 'templates/configmap.yaml'),
    'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: example }\ndata: { a: b }\n',
  )
  return chart
}

/** What works with any rules that have discovery and self-reviews, from the first command on. */
const FIRST_COMMANDS = [
  ['version'],
  ['api-resources'],
  ['explain', 'pods.spec'],
  ['auth', 'whoami'],
  ['auth', 'can-i', 'list', 'pods'],
  ['auth', 'can-i', '--list'],
  ['get', '--raw', '/readyz'],
  ['get', 'pods'],
  ['get', 'deployments.apps'],
  ['logs', 'web', '--tail=1'],
] as const

describe.skipIf(!inject('hasParts'))('the rules that config/rules.yaml ships', () => {
  let site: Site

  beforeAll(async () => {
    site = await startSite({ namespace: newNamespace() })
  })

  afterAll(() => site.stop())

  test('load without a warning', () => {
    expect(site.gatehouse.log.filter((line) => line.includes('"configuration warning"'))).toEqual(
      [],
    )
  })

  test.for(FIRST_COMMANDS)('let kubectl %s pass', async (args) => {
    for (const credential of CREDENTIALS) {
      expect(await site.users[credential].kubectl(args)).toMatchObject({ code: 0 })
    }
  })

  test.skipIf(!hasHelm)('let helm install, list and uninstall a chart', async () => {
    const user = site.users['OIDC token']
    const chart = await writeChart(user.home)
    expect(await helmOf(user, 'install', 'example', chart)).toMatchObject({ code: 0 })
    expect((await helmOf(user, 'list', '--short')).stdout).toBe('example\n')
    expect(await user.kubectl(['get', 'configmap', 'example'])).toMatchObject({ code: 0 })
    expect(await helmOf(user, 'uninstall', 'example')).toMatchObject({ code: 0 })
  })
})

describe.skipIf(!inject('hasParts'))('the stricter rule that config/rules.yaml proposes', () => {
  let site: Site
  let user: User

  beforeAll(async () => {
    site = await startSite({ namespace: newNamespace(), rules: await readStricterExample() })
    // Users of its group, oidc:engineers.
    user = await withToken(site.cluster.controlPlane, site.gatehouse)
  })

  afterAll(() => site.stop())

  test('loads without a warning', () => {
    expect(site.gatehouse.log.filter((line) => line.includes('"configuration warning"'))).toEqual(
      [],
    )
  })

  test.for(FIRST_COMMANDS)('lets kubectl %s pass', async (args) => {
    expect(await user.kubectl(args)).toMatchObject({ code: 0 })
  })

  test.for([
    [['create', 'configmap', 'x'], 'no Gatehouse rule allows this'],
    [['exec', 'web', '--', 'true'], 'no Gatehouse rule allows this'],
    [['get', 'pods', '-n', 'kube-system'], 'no Gatehouse rule allows this'],
  ] as const)('refuses kubectl %j with a reason', async ([args, reason]) => {
    const { code, stderr } = await user.kubectl(args)
    expect(code).toBe(1)
    expect(stderr).toContain(reason)
  })

  test.skipIf(!hasHelm)('lets helm list releases', async () => {
    expect(await helmOf(user, 'list')).toMatchObject({ code: 0 })
    const { stderr } = await helmOf(user, 'install', 'x', await writeChart(user.home))
    expect(stderr).toContain('no Gatehouse rule allows this')
  })
})

describe.skipIf(!inject('hasParts')).for(['shadow', 'enforce'])(
  'the rule of docs/everyday.md in the mode %s',
  (mode) => {
    let site: Site

    beforeAll(async () => {
      const shipped = (await readShippedRules()) as Rules
      const { rule, test } = await readEverydayExample()
      site = await startSite({
        namespace: newNamespace(),
        rules: {
          ...shipped,
          rules: [{ ...rule, mode }, ...shipped.rules],
          tests: mode === 'shadow' ? shipped.tests : [...shipped.tests, test],
        },
      })
    })

    afterAll(() => site.stop())

    test('loads without a warning', () => {
      expect(site.gatehouse.log.filter((line) => line.includes('"configuration warning"'))).toEqual(
        [],
      )
    })

    test.for(CREDENTIALS)('denies secrets only if it is enforced: %s', async (credential) => {
      const { kubectl } = site.users[credential]
      const { code, stderr } = await kubectl(['get', 'secrets'])
      const [denied, refusal] =
        mode === 'enforce'
          ? [1, 'Secrets of production are not read by hand. (Gatehouse rule "no-secrets")']
          : [0, '']
      expect(code).toBe(denied)
      expect(stderr).toContain(refusal)
      expect(await kubectl(['get', 'pods'])).toMatchObject({ code: 0 })
    })
  },
)
