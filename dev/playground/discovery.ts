/** The playground's discovery documents: version, groups, resources, and a minimum of OpenAPI. */
import { apiVersionOf, kinds, type Kind } from './kinds.ts'
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

const groups = ['apps', ...new Set(reviews.map(({ group }) => group))]

/** The resources of a group, stored or not. */
const resourcesOf = (group: string): Json[] => [
  ...kinds.filter((kind) => kind.group === group).map(resourceOf),
  ...reviews.filter((review) => review.group === group).map(reviewResource),
]

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
  ['/api/v1', resourceList('v1', [...resourcesOf(''), podLog()])],
  ...groups.flatMap((group): [string, Json][] => [
    [`/apis/${group}`, { kind: 'APIGroup', apiVersion: 'v1', ...groupDocument(group) }],
    [`/apis/${group}/v1`, resourceList(`${group}/v1`, resourcesOf(group))],
  ]),
  ['/openapi/v3', openApiIndex()],
  ['/openapi/v3/api/v1', openApi('')],
  ...groups.map((group): [string, Json] => [`/openapi/v3/apis/${group}/v1`, openApi(group)]),
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
 * An OpenAPI document with what kubectl looks for: the parameter `fieldValidation` of every kind, before
 * it leaves validation to the server (kubectl/pkg/util/openapi, QueryParamVerifierV3), and for
 * `kubectl explain` a schema of every kind, found by the group, version and kind of a path's `get`
 * (kubectl/pkg/explain/v2). The schemas do not go below the first fields.
 */
function openApi(group: string): Json {
  const own = kinds.filter((kind) => kind.group === group)
  const all = [...own, ...reviews.filter((review) => review.group === group)]
  const gvkOf = (kind: string): Json => ({ group, version: 'v1', kind })
  const prefix = `/${group === '' ? 'api' : `apis/${group}`}/v1/`
  const patches = all.map(({ kind }): [string, Json] => [
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
        'x-kubernetes-group-version-kind': gvkOf(kind),
      },
    },
  ])
  const gets = own.map(({ kind, resource, namespaced }): [string, Json] => [
    `${prefix}${namespaced ? 'namespaces/{namespace}/' : ''}${resource}/{name}`,
    {
      get: {
        responses: {},
        'x-kubernetes-action': 'get',
        'x-kubernetes-group-version-kind': gvkOf(kind),
      },
    },
  ])
  return {
    openapi: '3.0.0',
    info: { title: 'Gatehouse playground', version: GIT_VERSION },
    paths: Object.fromEntries([...patches, ...gets]),
    components: {
      schemas: Object.fromEntries(
        own.map((kind) => [
          `playground.${kind.kind}`,
          { ...schemaOf(kind), 'x-kubernetes-group-version-kind': [gvkOf(kind.kind)] },
        ]),
      ),
    },
  }
}

function schemaOf(kind: Kind): Json {
  const field = (type: string, description: string): Json => ({ type, description })
  return {
    type: 'object',
    description: `A ${kind.kind} of the playground, which knows only these fields. A real cluster ("npm start -- --cluster") has the whole documentation.`,
    properties: {
      apiVersion: field('string', `Always ${apiVersionOf(kind)}.`),
      kind: field('string', `Always ${kind.kind}.`),
      metadata: field('object', 'Name, namespace, labels and annotations.'),
      spec: field('object', 'What is wanted. The playground stores it and does nothing with it.'),
      data: field('object', 'The data of a ConfigMap or Secret.'),
      status: field('object', 'What would be observed, if anything ran here.'),
    },
  }
}
