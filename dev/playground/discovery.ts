/** What the playground says it can do: versions, groups, resources, and just enough of OpenAPI. */
import { kinds, type Kind } from './kinds.ts'
import type { Json } from './objects.ts'

/** Says what it is wherever a version is shown. */
export const gitVersion = 'v1.36.3+gatehouse-playground'

/** Objects that are answered and not kept. */
const reviews = [
  { group: 'authentication.k8s.io', resource: 'selfsubjectreviews', kind: 'SelfSubjectReview' },
  {
    group: 'authorization.k8s.io',
    resource: 'selfsubjectaccessreviews',
    kind: 'SelfSubjectAccessReview',
  },
  {
    group: 'authorization.k8s.io',
    resource: 'selfsubjectrulesreviews',
    kind: 'SelfSubjectRulesReview',
  },
] as const

const groups = [...new Set(reviews.map(({ group }) => group))]

const all = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch']

const version = {
  major: '1',
  minor: '36',
  gitVersion,
  gitCommit: 'none',
  gitTreeState: 'none',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: `node ${process.version}`,
  compiler: 'none',
  platform: `${process.platform}/${process.arch}`,
}

/** Documents by their path; undefined for a path that has none. */
export function discoveryDocument(path: string): Json | undefined {
  return documents.get(path.length > 1 ? path.replace(/\/+$/, '') : path)
}

const documents = new Map<string, Json>([
  ['/version', version],
  ['/api', { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] }],
  ['/apis', { kind: 'APIGroupList', apiVersion: 'v1', groups: groups.map(groupDocument) }],
  ['/api/v1', resourceList('v1', [...kinds.map(resourceOf), podLog()])],
  ...groups.flatMap((group): [string, Json][] => [
    [`/apis/${group}`, { kind: 'APIGroup', apiVersion: 'v1', ...groupDocument(group) }],
    [
      `/apis/${group}/v1`,
      resourceList(
        `${group}/v1`,
        reviews.filter((review) => review.group === group).map(reviewResource),
      ),
    ],
  ]),
  ['/openapi/v3', openApiIndex()],
  ['/openapi/v3/api/v1', openApi(kinds.map(({ kind }) => ({ group: '', kind })))],
  ...groups.map((group): [string, Json] => [
    `/openapi/v3/apis/${group}/v1`,
    openApi(reviews.filter((review) => review.group === group)),
  ]),
])

function groupDocument(name: string): Json {
  const only = { groupVersion: `${name}/v1`, version: 'v1' }
  return { name, versions: [only], preferredVersion: only }
}

function resourceList(groupVersion: string, resources: readonly Json[]): Json {
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources }
}

function resourceOf({ resource, kind, namespaced, shortNames, inAll }: Kind): Json {
  return {
    name: resource,
    singularName: kind.toLowerCase(),
    namespaced,
    kind,
    verbs: all,
    ...(shortNames.length === 0 ? {} : { shortNames }),
    ...(inAll ? { categories: ['all'] } : {}),
  }
}

function podLog(): Json {
  return { name: 'pods/log', singularName: '', namespaced: true, kind: 'Pod', verbs: ['get'] }
}

function reviewResource({ resource, kind }: (typeof reviews)[number]): Json {
  const singularName = kind.toLowerCase()
  return { name: resource, singularName, namespaced: false, kind, verbs: ['create'] }
}

function openApiIndex(): Json {
  const paths = ['api/v1', ...groups.map((group) => `apis/${group}/v1`)]
  return {
    paths: Object.fromEntries(
      paths.map((path) => [path, { serverRelativeURL: `/openapi/v3/${path}?hash=playground` }]),
    ),
  }
}

/**
 * No schemas: only that every kind takes `fieldValidation`, which is what kubectl looks for before
 * it leaves validation to the server (kubectl/pkg/util/openapi, QueryParamVerifierV3).
 */
function openApi(of: readonly { group: string; kind: string }[]): Json {
  const patch = of.map(({ group, kind }): [string, Json] => [
    `/${group}/${kind}`,
    {
      patch: {
        parameters: ['dryRun', 'fieldManager', 'fieldValidation', 'force'].map((name) => ({
          name,
          in: 'query',
          schema: { type: 'string' },
        })),
        responses: {},
        'x-kubernetes-action': 'patch',
        'x-kubernetes-group-version-kind': { group, version: 'v1', kind },
      },
    },
  ])
  return {
    openapi: '3.0.0',
    info: { title: 'Gatehouse playground', version: gitVersion },
    paths: Object.fromEntries(patch),
    components: {},
  }
}
