/** AccessRules of the size that an organisation has: 100 rules, one a team. */

/** The shipped deny of the proxy subresources, teams' namespaces, and what lets the load through. */
export function rules(): unknown {
  const teams = Array.from({ length: 98 }, (_, i) => ({
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
    ],
  }
}
