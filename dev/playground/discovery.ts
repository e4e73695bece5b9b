/** The playground's discovery documents: version, groups, resources, and a minimum of OpenAPI. */
import { kinds, type Kind } from './kinds.ts'
import type { Json } from './objects.ts'

/** The version, which identifies the playground wherever it is shown. */
export const GIT_VERSION = 'v1.36.3+gatehouse-playground'

/** Resources that can only be created, and are not stored. */
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

const allVerbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch']

const version = {
  major: '1',
  minor: '36',
  gitVersion: GIT_VERSION,
  gitCommit: 'none',
  gitTreeState: 'none',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: `node ${process.version}`,
  compiler: 'none',
  platform: `${process.platform}/${process.arch}`,
}

/** The discovery document at a path; undefined if there is none. */
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
    verbs: allVerbs,
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
 * An OpenAPI document without schemas. It only declares the parameter `fieldValidation` for every
 * kind, because kubectl checks for that before it leaves validation to the server
 * (kubectl/pkg/util/openapi, QueryParamVerifierV3).
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
    info: { title: 'Gatehouse playground', version: GIT_VERSION },
    paths: Object.fromEntries(patch),
    components: {},
  }
}
