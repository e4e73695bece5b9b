/** `authentication.serviceAccounts` of gatehouse.yaml. */
import { z } from 'zod'

export const serviceAccounts = z
  .strictObject({
    issuers: z
      .array(z.string().min(1, 'is empty'))
      .min(1, 'is empty')
      .meta({
        description:
          "issuers (iss) of the cluster's service account tokens, as --service-account-issuer of " +
          'kube-apiserver has them. Only tokens of these issuers are reviewed; must be a list of issuers',
        examples: [['https://kubernetes.default.svc.cluster.local']],
      }),
    audiences: z
      .array(z.string().min(1, 'is empty'))
      .min(1, 'is empty')
      .meta({
        description:
          'audiences of which a token must have one. With an audience that is not one of ' +
          'kube-apiserver (--api-audiences), the API server itself refuses the tokens; must be a ' +
          'list of audiences',
        examples: [['gatehouse']],
      }),
  })
  .describe(
    "Tokens of the cluster's service accounts. The API server checks each by TokenReview, which " +
      'Gatehouse must be allowed to create (deploy/kubernetes/10-rbac.yaml). Verdicts are cached for ' +
      '10 seconds.',
  )
