/** What `npm start` prints when everything runs. */
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import type { Environment } from './environment.ts'

/** One line of JSON, for programs. */
export function jsonSummary(environment: Environment): string {
  const { url, ca, probes, rules, audit, users } = environment
  return JSON.stringify({
    url,
    ca,
    probes,
    rules,
    audit,
    users: users.map(({ username, groups, kind, kubeconfig }) => ({
      username,
      groups,
      kind,
      kubeconfig,
    })),
  })
}

const upstreamText = {
  playground:
    'the playground, a small API server in memory: nothing in it is real, no container runs\n' +
    '               (--cluster starts a real control plane, --kubeconfig FILE takes your cluster)',
  cluster: 'a real control plane, started for this run, with a pod default/web on a stand-in node',
  kubeconfig: 'your cluster; its RBAC decides what the two users may do',
} as const

const kindText = { x509: 'by certificate', oidc: 'by OIDC token' } as const

/** For people. `path` is the PATH that kubectl is looked for on. */
export function textSummary(environment: Environment, path: string): string {
  const { users, upstream } = environment
  const kubectl = commandOf(environment, path)
  const files = users.map(({ kubeconfig }) => quote(kubeconfig))
  const [first = '', second = ''] = files
  const lines = [
    `Gatehouse runs at ${environment.url}`,
    '',
    `  behind it    ${upstreamText[upstream.kind]}`,
    ...users.map(
      ({ username, kind, kubeconfig }) =>
        `  ${username.padEnd(12)} ${kindText[kind].padEnd(15)} ${kubeconfig}`,
    ),
    '',
    'Try, in another terminal (the last one is denied, by the rule no-proxy-subresources):',
    '',
    `  ${kubectl} --kubeconfig ${first} get pods --all-namespaces`,
    `  ${kubectl} --kubeconfig ${second} auth whoami`,
    `  ${kubectl} --kubeconfig ${first} get --raw /api/v1/namespaces/default/services/web:80/proxy/`,
    '',
    `  config       ${environment.configuration}`,
    `  audit        ${environment.audit}`,
    `  rules        ${environment.rules} (edit them: read again at once, mistakes are told here)`,
    `  probes       ${environment.probes}/readyz?verbose`,
    `  log          ${environment.log}`,
    '',
    ...notes(environment, path),
    'Ctrl-C ends all of it and removes its files.',
  ]
  return lines.join('\n')
}

function notes({ upstream, users, notReady }: Environment, path: string): readonly string[] {
  const notes: string[] = []
  if (upstream.kind === 'kubeconfig') {
    const subjects = users.map(({ username }) => `--user=${username}`).join(' ')
    notes.push(
      `Gatehouse's own credential there is that of ${upstream.kubeconfig}.`,
      'To let both users read, as an administrator of the cluster:',
      `  kubectl --kubeconfig YOUR-ADMIN-KUBECONFIG create clusterrolebinding gatehouse-development --clusterrole=view ${subjects}`,
      '',
    )
  }
  if (notReady.length > 0) notes.push('Not ready yet:', ...notReady.map((line) => `  ${line}`), '')
  if (upstream.kubectl === undefined && !isOnPath('kubectl', path)) {
    notes.push('There is no kubectl on your PATH: https://kubernetes.io/docs/tasks/tools/', '')
  }
  return notes
}

function commandOf({ upstream }: Environment, path: string): string {
  if (upstream.kubectl === undefined || isOnPath('kubectl', path)) return 'kubectl'
  return quote(upstream.kubectl)
}

function isOnPath(command: string, path: string): boolean {
  return path.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK)
      return folder !== ''
    } catch {
      return false
    }
  })
}

/** For a shell, where it needs that. */
function quote(text: string): string {
  return /^[\w./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
