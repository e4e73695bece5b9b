import { mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'

import { kubeconfigDocument } from '../../src/client/kubeconfig/document.ts'
import { missingPluginEntry } from '../../src/client/kubeconfig/kuberc.ts'
import { knownCA, mergeEntry, removeEntries } from '../../src/client/kubeconfig/merge.ts'
import { defaultPath, kubeconfigPaths } from '../../src/client/kubeconfig/paths.ts'
import { pluginStanza } from '../../src/client/kubeconfig/stanza.ts'
import { updateKubeconfigs } from '../../src/client/kubeconfig/update.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-kubeconfig-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
})

const server = { origin: 'https://gatehouse.example', certificateAuthority: 'PEM\n' }
const exec = pluginStanza({
  server,
  account: '',
  method: '',
  command: ['gatehouse'],
  args: [],
})
const entry = {
  ...{ name: 'lab', server, account: '', exec, namespace: undefined, makesCurrent: true },
}

const OTHERS = `# my clusters
apiVersion: v1
kind: Config
preferences: {}
clusters:
- cluster: # the old one
    server: https://10.0.0.1:6443   # do not touch
    insecure-skip-tls-verify: true
  name: old
contexts:
- name: old
  context: {cluster: old, user: me}
users:
- name: me
  user:
    token: "secret token"
    x-unknown: &anchor [1,   2]
extensions: *anchor
current-context: old # for now
`

describe('merging', () => {
  test('keeps everything else, comments included', () => {
    const document = kubeconfigDocument('config', OTHERS)
    mergeEntry([document], { ...entry, makesCurrent: false })
    const text = document.text()
    for (const comment of OTHERS.match(/#.*/g) ?? []) expect(text).toContain(comment)
    const withoutOurs = kubeconfigDocument('config', text)
    removeEntries([withoutOurs], server.origin, undefined)
    expect(parse(withoutOurs.text())).toEqual(parse(OTHERS))
    expect(parse(text)).toMatchObject({
      clusters: [{ name: 'old' }, { name: 'lab', cluster: { server: server.origin } }],
      users: [{ name: 'me' }, { name: 'lab', user: { exec: { provideClusterInfo: true } } }],
    })
  })

  test('a second time changes nothing', () => {
    const once = kubeconfigDocument('config', OTHERS)
    mergeEntry([once], entry)
    const twice = kubeconfigDocument('config', once.text())
    mergeEntry([twice], entry)
    expect(twice.text()).toBe(once.text())
  })

  test('an existing entry loses what weakens TLS, and keeps the rest', () => {
    const text = `clusters: [{name: lab, cluster: {server: "https://gatehouse.example", insecure-skip-tls-verify: true, certificate-authority: x, proxy-url: "http://p"}}]`
    const document = kubeconfigDocument('config', text)
    mergeEntry([document], entry)
    expect(document.entry('clusters', 'lab')).toEqual({
      server: server.origin,
      'certificate-authority-data': Buffer.from('PEM\n').toString('base64'),
      'proxy-url': 'http://p',
    })
  })

  test.for([
    ['cluster', 'clusters: [{name: lab, cluster: {server: "https://other.example"}}]'],
    ['user', 'users: [{name: lab, user: {token: x}}]'],
    ['context', 'contexts: [{name: lab, context: {cluster: other, user: lab}}]'],
    [
      'user',
      'users: [{name: lab, user: {exec: {command: kubectl, args: [oidc-login, get-token]}}}]\n' +
        'contexts: [{name: c, context: {cluster: other, user: lab}}]',
    ],
  ])('a %s of the same name for something else stays', ([kind = '', text = '']) => {
    const document = kubeconfigDocument('config', text)
    expect(() => mergeEntry([document], entry)).toThrow(`already has a ${kind} "lab"`)
    expect(document.isChanged).toBe(false)
  })

  test('entries are updated in the file that has them, and added where kubectl adds them', async () => {
    const files = ['a', 'b', 'c'].map((name) => join(folder, name))
    await writeFile(
      files[1]!,
      `clusters: [{name: lab, cluster: {server: "https://gatehouse.example"}}]`,
    )
    await writeFile(files[2]!, 'current-context: x')
    expect(defaultPath(files)).toBe(files[1])
    await updateKubeconfigs(files, (documents) => mergeEntry(documents, entry))
    await expect(stat(files[0]!)).rejects.toThrow('ENOENT')
    expect(await readFile(files[1]!, 'utf8')).toContain('get-token')
    expect(await readFile(files[2]!, 'utf8')).toBe('current-context: lab\n')
  })

  test('JSON stays JSON', () => {
    const document = kubeconfigDocument('config', '{"kind": "Config", "clusters": null}')
    mergeEntry([document], entry)
    expect(JSON.parse(document.text())).toMatchObject({ clusters: [{ name: 'lab' }] })
  })

  test('null and empty lists count as absent', () => {
    const document = kubeconfigDocument('config', 'clusters: null\nusers: []\ncontexts:\n')
    mergeEntry([document], entry)
    expect(document.text()).toContain('users:\n- user:')
  })
})

describe('a file', () => {
  const path = () => join(folder, 'config')

  test.for([
    ['a: [', /config:1:5: .*: correct the file/],
    ['- a', /is not a kubeconfig/],
    ['kind: Pod', /is not a kubeconfig: kind is "Pod"/],
    ['clusters: 7', /clusters is not a list/],
    ['a: 1\na: 2', /correct the file/],
  ] as const)('with %j is not touched', async ([text, message]) => {
    await writeFile(path(), text)
    const update = updateKubeconfigs([path()], (documents) => mergeEntry(documents, entry))
    await expect(update).rejects.toThrow(message)
    expect(await readFile(path(), 'utf8')).toBe(text)
  })

  test('is for its owner only, and its link stays a link', async () => {
    await writeFile(join(folder, 'real'), OTHERS, { mode: 0o644 })
    await symlink('real', path())
    await updateKubeconfigs([path()], (documents) => mergeEntry(documents, entry))
    expect((await stat(join(folder, 'real'))).mode & 0o777).toBe(0o600)
    expect(await readFile(join(folder, 'real'), 'utf8')).toContain('get-token')
  })

  test('that is read-only stays as it is', async () => {
    await writeFile(path(), OTHERS, { mode: 0o444 })
    const update = updateKubeconfigs([path()], (documents) => mergeEntry(documents, entry))
    await expect(update).rejects.toThrow('the file is read-only')
    expect(await readFile(path(), 'utf8')).toBe(OTHERS)
  })

  test('that kubectl is writing is waited for, and not for ever', async () => {
    await writeFile(`${path()}.lock`, '')
    const waiting = updateKubeconfigs([path()], (documents) => mergeEntry(documents, entry))
    setTimeout(() => void rm(`${path()}.lock`), 300)
    await waiting
    await writeFile(`${path()}.lock`, '')
    const late = updateKubeconfigs([path()], (documents) => mergeEntry(documents, entry))
    await expect(late).rejects.toThrow('another program is writing it')
  })
})

describe('removing', () => {
  test('takes only what login wrote', () => {
    const document = kubeconfigDocument('config', OTHERS)
    mergeEntry([document], entry)
    const second = pluginStanza({
      server,
      account: 'b',
      method: '',
      command: ['gatehouse'],
      args: [],
    })
    mergeEntry([document], { ...entry, account: 'b', exec: second })
    expect(removeEntries([document], server.origin, 'b')).toEqual(['lab-b'])
    expect(document.names('clusters')).toEqual(['old', 'lab'])
    expect(removeEntries([document], 'https://other.example', undefined)).toEqual([])
    expect(removeEntries([document], server.origin, undefined)).toEqual(['lab'])
    expect(document.names('clusters')).toEqual(['old'])
    expect(document.names('users')).toEqual(['me'])
    expect(document.currentContext).toBe('')
  })

  test('a cluster that another context uses stays', () => {
    const document = kubeconfigDocument('config', OTHERS)
    mergeEntry([document], entry)
    document.set('contexts', 'own', { cluster: 'lab', user: 'me' })
    removeEntries([document], server.origin, undefined)
    expect(document.names('clusters')).toEqual(['old', 'lab'])
  })
})

test('the CA that a kubeconfig has for a server is used again', () => {
  const document = kubeconfigDocument('config', OTHERS)
  mergeEntry([document], entry)
  expect(knownCA([document], server.origin)).toBe('PEM\n')
  expect(knownCA([document], 'https://10.0.0.1:6443')).toBeUndefined()
})

test('KUBECONFIG may name several files', () => {
  const home = (): string => '/home/ada'
  expect(kubeconfigPaths({ env: { KUBECONFIG: '/a::/b:/a' }, home }, undefined)).toEqual([
    '/a',
    '/b',
  ])
  expect(kubeconfigPaths({ env: {}, home }, undefined)).toEqual(['/home/ada/.kube/config'])
  expect(kubeconfigPaths({ env: { KUBECONFIG: '/a' }, home }, '/c')).toEqual(['/c'])
})

describe('kuberc', () => {
  async function missing(text: string, command = 'gatehouse') {
    await writeFile(join(folder, 'kuberc'), text)
    return missingPluginEntry(
      { env: { KUBERC: join(folder, 'kuberc') }, home: () => '/none' },
      command,
    )
  }

  test('an allow list without the plugin is reported, with what to add', async () => {
    const text = 'credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist: [{command: aws}]'
    expect(await missing(text)).toContain('- command: gatehouse')
  })

  test.for([
    'credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist: [{command: gatehouse}]',
    'credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist: [{name: gatehouse}]',
    'credentialPluginPolicy: AllowAll',
    'kind: Preference',
    '',
    '[',
  ])('nothing is missing with %j', async (text) => {
    expect(await missing(text)).toBeUndefined()
  })

  test('a policy that forbids every plugin is reported', async () => {
    expect(await missing('credentialPluginPolicy: DenyAll')).toContain('DenyAll')
  })
})
