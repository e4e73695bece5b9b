/** What works in a rules file, but perhaps not as meant. */
import type { LoadedDocument } from '../../config/document.ts'
import type { Path } from '../../config/path.ts'
import type { ConfigProblem } from '../../config/problem.ts'
import type { AccessRule, AccessRules, ResourceRule } from './schema.ts'

type RulesDocument = LoadedDocument<AccessRules>

/** Of a file without problems: denials that deny less than they seem to, and kinds in place of resources. */
export function warnOfRules(document: RulesDocument): ConfigProblem[] {
  return [...warnOfSingulars(document), ...warnOfDenials(document)]
}

/**
 * Singulars of Kubernetes' own resources. They match no request: as a deny such a rule denies nothing.
 * Resources of other groups are named as their authors like, so this is no problem but a warning.
 */
const PLURALS: ReadonlyMap<string, string> = new Map(
  `pods services secrets configmaps namespaces nodes events endpoints serviceaccounts
   persistentvolumes persistentvolumeclaims replicationcontrollers resourcequotas limitranges
   deployments daemonsets statefulsets replicasets controllerrevisions jobs cronjobs
   horizontalpodautoscalers poddisruptionbudgets endpointslices ingresses ingressclasses
   networkpolicies leases roles rolebindings clusterroles clusterrolebindings priorityclasses
   customresourcedefinitions apiservices storageclasses volumeattachments
   certificatesigningrequests`
    .split(/\s+/)
    .map((plural) => [plural.replace(/ies$/, 'y').replace(/(?<=ss)es$|s$/, ''), plural]),
)

/** Groups of Kubernetes itself have no dot in their name, or end so. */
function hasOwnGroup({ apiGroups }: ResourceRule): boolean {
  return apiGroups.some((group) => !group.includes('.') || group.endsWith('.k8s.io'))
}

function warnOfSingulars(document: RulesDocument): ConfigProblem[] {
  return document.value.rules.flatMap((rule, i) =>
    (rule.resources ?? []).flatMap((resource, j) =>
      (hasOwnGroup(resource) ? resource.resources : []).flatMap((name, k) => {
        const [singular = '', ...subresource] = name.split('/')
        const plural = PLURALS.get(singular)
        if (plural === undefined) return []
        const meant = [plural, ...subresource].join('/')
        const at: Path = ['rules', i, 'resources', j, 'resources', k]
        const message = `${JSON.stringify(name)} is the singular, which no request has`
        return [document.problem(at, message, `did you mean ${meant}?`)]
      }),
    ),
  )
}

/** Denials that a wider request passes by: rules match what a request names, as RBAC does. */
function warnOfDenials(document: RulesDocument): ConfigProblem[] {
  return document.value.rules.flatMap((rule, i) => {
    if (rule.effect !== 'deny') return []
    return [
      ...warnOfVerbs(rule, i, document),
      ...(rule.resources ?? []).flatMap(({ namespaces, resourceNames }, j) => {
        const at: Path = ['rules', i, 'resources', j]
        const warnings: ConfigProblem[] = []
        if (namespaces !== undefined && !namespaces.includes('') && !namespaces.includes('*')) {
          warnings.push(
            document.problem(
              [...at, 'namespaces'],
              'does not deny requests across all namespaces (kubectl get -A)',
              'add "" if it is meant to',
            ),
          )
        }
        if (resourceNames !== undefined) {
          warnings.push(
            document.problem(
              [...at, 'resourceNames'],
              'does not deny list and watch without a name, which show these objects too',
              'leave resourceNames out if it is meant to',
            ),
          )
        }
        return warnings
      }),
    ]
  })
}

function warnOfVerbs(rule: AccessRule, position: number, document: RulesDocument): ConfigProblem[] {
  const { verbs, resources } = rule
  const hidesOnlyGet = verbs.includes('get') && !(verbs.includes('list') && verbs.includes('watch'))
  if (resources === undefined || verbs.includes('*') || !hidesOnlyGet) return []
  return [
    document.problem(
      ['rules', position, 'verbs'],
      'denies get without list and watch, which show the same objects',
      'add list and watch if they are meant too',
    ),
  ]
}
