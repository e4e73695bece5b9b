/**
 * The resources of kube-apiserver 1.36, to find names in rules that no request has.
 * test/e2e/kubernetes-resources.test.ts compares them with a real one.
 *
 * The list is never complete: custom resources and aggregated APIs add groups, and later versions add
 * resources. Only groups without a dot are closed to others (CRDs need a domain as their group).
 */

export interface KubernetesResource {
  readonly group: string
  /** The plural, which is what requests have. */
  readonly name: string
  readonly isNamespaced: boolean
  /** What kubectl takes in place of the plural: the singular and short names. */
  readonly aliases: readonly string[]
  readonly subresources: readonly string[]
}

/** By group and scope; a resource is its plural, its short names, and its subresources with a slash. */
const TABLE: readonly (readonly [group: string, namespaced: string, clusterScoped: string])[] = [
  [
    '',
    `bindings, configmaps cm, endpoints ep, events ev, limitranges limits,
     persistentvolumeclaims pvc /status,
     pods po /attach /binding /ephemeralcontainers /eviction /exec /log /portforward /proxy /resize /status,
     podtemplates, replicationcontrollers rc /scale /status, resourcequotas quota /status, secrets,
     serviceaccounts sa /token, services svc /proxy /status`,
    `componentstatuses cs, namespaces ns /finalize /status, nodes no /proxy /status,
     persistentvolumes pv /status`,
  ],
  [
    'admissionregistration.k8s.io',
    '',
    `mutatingadmissionpolicies, mutatingadmissionpolicybindings, mutatingwebhookconfigurations,
     validatingadmissionpolicies /status, validatingadmissionpolicybindings,
     validatingwebhookconfigurations`,
  ],
  ['apiextensions.k8s.io', '', 'customresourcedefinitions crd crds /status'],
  ['apiregistration.k8s.io', '', 'apiservices /status'],
  [
    'apps',
    `controllerrevisions, daemonsets ds /status, deployments deploy /scale /status,
     replicasets rs /scale /status, statefulsets sts /scale /status`,
    '',
  ],
  ['authentication.k8s.io', '', 'selfsubjectreviews, tokenreviews'],
  [
    'authorization.k8s.io',
    'localsubjectaccessreviews',
    'selfsubjectaccessreviews, selfsubjectrulesreviews, subjectaccessreviews',
  ],
  ['autoscaling', 'horizontalpodautoscalers hpa /status', ''],
  ['batch', 'cronjobs cj /status, jobs /status', ''],
  ['certificates.k8s.io', '', 'certificatesigningrequests csr /approval /status'],
  ['coordination.k8s.io', 'leases', ''],
  ['discovery.k8s.io', 'endpointslices', ''],
  ['events.k8s.io', 'events ev', ''],
  // Its last resources moved to other groups in 1.22; rules still name it.
  ['extensions', '', ''],
  ['flowcontrol.apiserver.k8s.io', '', 'flowschemas /status, prioritylevelconfigurations /status'],
  [
    'networking.k8s.io',
    'ingresses ing /status, networkpolicies netpol',
    'ingressclasses, ipaddresses ip, servicecidrs /status',
  ],
  ['node.k8s.io', '', 'runtimeclasses'],
  ['policy', 'poddisruptionbudgets pdb /status', ''],
  ['rbac.authorization.k8s.io', 'rolebindings, roles', 'clusterrolebindings, clusterroles'],
  [
    'resource.k8s.io',
    'resourceclaims /status, resourceclaimtemplates',
    'deviceclasses, resourceslices',
  ],
  ['scheduling.k8s.io', '', 'priorityclasses pc'],
  [
    'storage.k8s.io',
    'csistoragecapacities',
    `csidrivers, csinodes, storageclasses sc, volumeattachments /status,
     volumeattributesclasses vac`,
  ],
]

export const KUBERNETES_RESOURCES: readonly KubernetesResource[] = TABLE.flatMap(
  ([group, namespaced, clusterScoped]) => [
    ...parseList(group, namespaced, true),
    ...parseList(group, clusterScoped, false),
  ],
)

/** The API groups of kube-apiserver itself; `''` is core. */
export const KUBERNETES_GROUPS: readonly string[] = TABLE.map(([group]) => group)

const GROUPS: ReadonlySet<string> = new Set(KUBERNETES_GROUPS)

/** Whether every one of these is a group of kube-apiserver itself. */
export function areKubernetesGroups(groups: readonly string[]): boolean {
  return groups.every((group) => GROUPS.has(group))
}

/** Whether nothing but kube-apiserver itself can serve resources in any of these groups. */
export function areClosedGroups(groups: readonly string[]): boolean {
  return groups.every((group) => GROUPS.has(group) && !group.includes('.'))
}

/** The resources of these groups, where `*` is every group. */
export function resourcesIn(groups: readonly string[]): readonly KubernetesResource[] {
  return groups.includes('*')
    ? KUBERNETES_RESOURCES
    : KUBERNETES_RESOURCES.filter(({ group }) => groups.includes(group))
}

/** The verbs of a resource itself. Bindings and reviews are only created, and nothing is stored. */
export function verbsOfResource(resource: string): readonly string[] {
  if (resource === 'componentstatuses') return ['get', 'list']
  if (resource === 'bindings' || resource.endsWith('reviews')) return ['create']
  return ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection']
}

/**
 * The verbs of a subresource. kube-apiserver serves `status`, `scale` and the like by reads and
 * writes; `connect` stands for exec, attach, portforward and proxy by any method.
 */
export function verbsOfSubresource(subresource: string): readonly string[] {
  switch (subresource) {
    case 'binding':
    case 'eviction':
    case 'token':
      return ['create']
    case 'finalize':
      return ['update']
    case 'log':
      return ['get']
    case 'attach':
    case 'exec':
    case 'portforward':
    case 'proxy':
      return ['connect']
    default:
      return ['get', 'update', 'patch']
  }
}

function parseList(group: string, list: string, isNamespaced: boolean): KubernetesResource[] {
  return list
    .split(',')
    .filter((entry) => entry.trim() !== '')
    .map((entry) => {
      const [name = '', ...others] = entry.trim().split(/\s+/)
      return {
        group,
        name,
        isNamespaced,
        aliases: [singularOf(name), ...others.filter((other) => !other.startsWith('/'))],
        subresources: others.flatMap((other) => (other.startsWith('/') ? other.slice(1) : [])),
      }
    })
}

function singularOf(plural: string): string {
  return plural.replace(/ies$/, 'y').replace(/(?<=ss|us)es$|s$/, '')
}
