/**
 * The fields of a kubeconfig that Gatehouse reads (client-go/tools/clientcmd/api/v1). As in Go, a field
 * that is null or empty counts as absent; only what the context names has to be complete.
 */
import { z } from 'zod'

const text = z
  .string()
  .nullish()
  .transform((value) => (value === null || value === '' ? undefined : value))

const flag = z
  .boolean()
  .nullish()
  .transform((value) => value ?? false)

/** A value whose form does not matter, since it is not supported. */
const unsupported = z
  .unknown()
  .optional()
  .transform((value) => (isEmpty(value) ? undefined : value))

function isEmpty(value: unknown): boolean {
  return (
    value === undefined ||
    value === null ||
    (typeof value === 'object' && Object.keys(value).length === 0)
  )
}

/** Other fields are allowed: a kubeconfig may be shared with other clients. */
function object<T extends z.core.$ZodLooseShape>(shape: T) {
  return z.preprocess((value) => value ?? {}, z.looseObject(shape))
}

function list<T extends z.ZodType>(entry: T) {
  return z.preprocess((value) => value ?? [], z.array(entry))
}

export const kubeconfigSchema = z.looseObject({
  clusters: list(
    object({
      name: text,
      cluster: object({
        server: text,
        'certificate-authority': text,
        'certificate-authority-data': text,
        'tls-server-name': text,
        'insecure-skip-tls-verify': flag,
        'proxy-url': text,
      }),
    }),
  ),
  users: list(
    object({
      name: text,
      user: object({
        'client-certificate': text,
        'client-certificate-data': text,
        'client-key': text,
        'client-key-data': text,
        token: text,
        tokenFile: text,
        username: text,
        exec: unsupported,
        'auth-provider': unsupported,
        as: text,
        'as-uid': text,
        'as-groups': unsupported,
        'as-user-extra': unsupported,
      }),
    }),
  ),
  contexts: list(object({ name: text, context: object({ cluster: text, user: text }) })),
  'current-context': text,
})

export type Kubeconfig = z.infer<typeof kubeconfigSchema>
export type Cluster = Kubeconfig['clusters'][number]['cluster']
export type User = Kubeconfig['users'][number]['user']
