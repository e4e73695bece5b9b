/** The fields of a kubeconfig that Gatehouse reads (client-go/tools/clientcmd/api/v1). */
import { z } from 'zod'

/** Other fields are allowed: a kubeconfig may be shared with other clients. */
export const kubeconfigSchema = z.looseObject({
  clusters: z.array(
    z.looseObject({
      name: z.string(),
      cluster: z.looseObject({
        server: z.string(),
        'certificate-authority': z.string().optional(),
        'certificate-authority-data': z.string().optional(),
        'tls-server-name': z.string().optional(),
        'insecure-skip-tls-verify': z.boolean().optional(),
        'proxy-url': z.string().optional(),
      }),
    }),
  ),
  users: z.array(
    z.looseObject({
      name: z.string(),
      user: z.looseObject({
        'client-certificate': z.string().optional(),
        'client-certificate-data': z.string().optional(),
        'client-key': z.string().optional(),
        'client-key-data': z.string().optional(),
        token: z.string().optional(),
        tokenFile: z.string().optional(),
        username: z.string().optional(),
        exec: z.unknown().optional(),
        'auth-provider': z.unknown().optional(),
        as: z.string().optional(),
      }),
    }),
  ),
  contexts: z.array(
    z.looseObject({
      name: z.string(),
      context: z.looseObject({ cluster: z.string(), user: z.string() }),
    }),
  ),
  'current-context': z.string().optional(),
})

export type Kubeconfig = z.infer<typeof kubeconfigSchema>
export type Cluster = Kubeconfig['clusters'][number]['cluster']
export type User = Kubeconfig['users'][number]['user']
