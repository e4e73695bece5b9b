/** What `npm start` prints when everything runs. */
import { dirname, join } from 'node:path'
import { findProgram } from '../find-program.ts'
import type { Environment } from './environment.ts'

/** One line of JSON, for programs. */
export function jsonSummary(environment: Environment): string {
  const { url, pages, ca, probes, rules, audit, users, second, notReady } = environment
  return JSON.stringify({
    ready: notReady.length === 0,
    notReady,
    url,
    pages,
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
    ...(second === undefined
      ? {}
      : { second: { url: second.url, probes: second.probes, redisPort: second.redisPort } }),
  })
}

const upstreamText = {
  playground:
    'the playground, a small in-memory API server: nothing in it is real, and it runs no containers\n' +
    '               (--cluster starts a real control plane, --kubeconfig FILE uses your cluster)',
  cluster: 'a real control plane, started for this run, with a pod default/web on a stand-in node',
  kubeconfig: "your cluster; its RBAC decides what the two users' requests may do",
} as const

const kindText = { x509: 'by certificate', oidc: 'by OIDC token' } as const

/** Lines for people. `path` is the PATH on which kubectl is looked for. */
export async function textSummary(environment: Environment, path: string): Promise<string> {
  const { users, upstream } = environment
  const onPath = (await findProgram('kubectl', path)) !== undefined
  const kubectl = upstream.kubectl === undefined || onPath ? 'kubectl' : quote(upstream.kubectl)
  const files = users.map(({ kubeconfig }) => quote(kubeconfig))
  const [first = '', second = ''] = files
  const gatehouse = 'npm run --silent gatehouse --'
  const login = `login ${environment.url} --ca-file ${quote(environment.ca)} --cache file`
  const lines = [
    `Gatehouse is running at ${environment.url}`,
    '',
    `  API server   ${upstreamText[upstream.kind]}`,
    ...users.map(
      ({ username, kind, kubeconfig }) =>
        `  ${username.padEnd(12)} ${kindText[kind].padEnd(15)} ${kubeconfig}`,
    ),
    '',
    'Try these in another terminal, in this directory. Sign in as "grace", with any password (the browser',
    'warns of the development certificate; --no-browser prints the address instead). The first line keeps',
    'your own kubeconfig and caches as they are:',
    '',
    `  ${exports(dirname(environment.configuration))}`,
    `  ${gatehouse} ${login}`,
    `  ${kubectl} get pods --all-namespaces`,
    '',
    'Grace may lock users. This locks ada, until "unlock --user ada":',
    '',
    `  ${gatehouse} lock --user ada --reason "Laptop stolen."`,
    '',
    `Or open ${environment.pages}/ in a browser: the page shows who you are, and has a kubeconfig.`,
    '',
    'These need no browser (the rule no-proxy-subresources denies the last one):',
    '',
    `  ${kubectl} --kubeconfig ${first} get pods --all-namespaces`,
    `  ${kubectl} --kubeconfig ${second} auth whoami`,
    `  ${kubectl} --kubeconfig ${first} get --raw /api/v1/namespaces/default/services/web:80/proxy/`,
    ...shared(environment, kubectl, first),
    '',
    `  config       ${environment.configuration}`,
    `  audit        ${environment.audit}`,
    `  rules        ${environment.rules} (edit them: changes are loaded within two seconds, and errors appear here)`,
    `  probes       ${environment.probes}/readyz?verbose`,
    `  log          ${environment.log}`,
    '',
    ...notes(environment, onPath || upstream.kubectl !== undefined),
    'Ctrl-C stops everything and removes these files.',
  ]
  return lines.join('\n')
}

/** Where kubectl and gatehouse read and write in the terminal of somebody who tries them. */
function exports(directory: string): string {
  const at = (name: string): string => quote(join(directory, name))
  const [config, cache, kubectlCache] = [at('you.kubeconfig'), at('cache'), at('kubectl-cache')]
  return `export KUBECONFIG=${config} XDG_CACHE_HOME=${cache} KUBECACHEDIR=${kubectlCache}`
}

/** Two replicas: what to look at. */
function shared(
  { second, probes }: Environment,
  kubectl: string,
  first: string,
): readonly string[] {
  if (second === undefined) return []
  const { url, redisPort, redisPasswordFile } = second
  const password = `REDISCLI_AUTH=$(cat ${quote(redisPasswordFile)})`
  return [
    '',
    `A second replica runs at ${url}. They share limits and locks in Redis, at 127.0.0.1:${redisPort}.`,
    'Redis holds digests, numbers and encrypted locks, and no names. The last command shows how many replicas\n' +
      'there are, and which requests to Redis failed:',
    '',
    `  ${kubectl} --kubeconfig ${first} --server ${url} get pods --all-namespaces`,
    `  ${password} redis-cli -p ${redisPort} --scan`,
    `  curl -s ${probes}/metrics | grep gatehouse_state`,
  ]
}

function notes({ upstream, users, notReady }: Environment, hasKubectl: boolean): readonly string[] {
  const notes: string[] = []
  if (upstream.kind === 'kubeconfig') {
    const subjects = users.map(({ username }) => `--user=${username}`).join(' ')
    notes.push(
      `Gatehouse authenticates to the cluster with the credential in ${upstream.kubeconfig}.`,
      'To let both users read, run this as a cluster administrator:',
      `  kubectl --kubeconfig YOUR-ADMIN-KUBECONFIG create clusterrolebinding gatehouse-development --clusterrole=view ${subjects}`,
      '',
    )
  }
  if (notReady.length > 0) notes.push('Not ready yet:', ...notReady.map((line) => `  ${line}`), '')
  if (!hasKubectl) {
    notes.push('kubectl is not on your PATH: https://kubernetes.io/docs/tasks/tools/', '')
  }
  return notes
}

/** Quotes a word for a shell where that is necessary. */
function quote(text: string): string {
  return /^[\w./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
