/** AccessRules of a realistic size: 100 rules, most of them one per team. */

/** The shipped deny rule for proxy subresources, one rule per team, and those that allow the load. */
export function rules(): unknown {
  const teams = Array.from({ length: 97 }, (_, i) => ({
    name: `team-${i}`,
    effect: 'allow',
    subjects: { groups: [`oidc:team-${i}`] },
    verbs: ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'],
    resources: [{ apiGroups: ['', 'apps'], resources: ['*'], namespaces: [`team-${i}-*`] }],
  }))
  return {
    apiVersion: 'gatehouse/v1',
    kind: 'AccessRules',
    default: 'deny',
    rules: [
      {
        name: 'no-proxy-subresources',
        effect: 'deny',
        verbs: ['*'],
        resources: [
          { apiGroups: [''], resources: ['services/proxy', 'pods/proxy', 'nodes/proxy'] },
        ],
        message: 'use kubectl port-forward',
      },
      ...teams,
      {
        name: 'engineers-read',
        effect: 'allow',
        subjects: { groups: ['oidc:engineers'] },
        verbs: ['get', 'list', 'watch'],
        resources: [{ apiGroups: ['*'], resources: ['*'] }],
      },
      {
        name: 'engineers-exec',
        effect: 'allow',
        subjects: { groups: ['oidc:engineers'] },
        verbs: ['connect'],
        resources: [{ apiGroups: [''], resources: ['pods/exec'] }],
      },
    ],
  }
}
