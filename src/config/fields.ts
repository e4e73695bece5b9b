/**
 * Kinds of fields of gatehouse.yaml. A description says what the field means and, behind "; ", how
 * its value is written: problems quote the second part as their fix.
 */
import { isIP } from 'node:net'

import { z } from 'zod'

import { firstOfLayers } from './schema-walk.ts'

/** What a field that names a file is for. */
export type FileUse =
  | {
      readonly use: 'read'
      /** What is loaded again when the file changes: the label `what` of the reload metrics. */
      readonly reload: string
    }
  | { readonly use: 'written' }

const fileUses = z.registry<FileUse>()

const file = (meaning: string) =>
  z
    .string()
    .min(1, 'is empty')
    .describe(`${meaning}; must be a file path, relative to the directory of this file`)

/** A file that must exist and be readable, and that is loaded again when it changes. */
export const inputFile = (meaning: string, { reload }: { readonly reload: string }) =>
  file(meaning).register(fileUses, { use: 'read', reload })

/** A file that is appended to; its directory must exist. */
export const outputFile = (meaning: string) => file(meaning).register(fileUses, { use: 'written' })

/** Undefined for a field that does not name a file. */
export function fileUseOf(schema: z.ZodType): FileUse | undefined {
  return firstOfLayers(schema, (layer) => fileUses.get(layer))
}

export const flag = (meaning: string) => z.boolean().describe(`${meaning}; must be true or false`)

export const choice = <const T extends readonly string[]>(meaning: string, values: T) =>
  z.enum(values).describe(`${meaning}; must be one of: ${values.join(', ')}`)

export const wholeNumber = (meaning: string, min: number, max: number) =>
  z.int().min(min).max(max).describe(`${meaning}; must be a whole number from ${min} to ${max}`)

export const count = (meaning: string, max = 1_000_000) => wholeNumber(meaning, 1, max)

export const rate = (meaning: string) =>
  z
    .number()
    .positive()
    .max(1_000_000)
    .describe(`${meaning}; must be a number above 0, at most 1000000`)

export const port = (meaning: string) =>
  z.int().min(0).max(65_535).describe(`${meaning}; must be a port number, or 0 for any free port`)

export const address = (meaning: string) =>
  z
    .string()
    .refine((text) => isIP(text) !== 0, {
      error: ({ input }) => `${JSON.stringify(input)} is not an IP address`,
    })
    .describe(`${meaning}; must be an IP address such as 127.0.0.1, 0.0.0.0 or ::`)

export const headerName = (meaning: string) =>
  z
    .string()
    .regex(/^[A-Za-z0-9-]{1,64}$/, 'is not a header name')
    .describe(`${meaning}; must be a header name of letters, digits and "-"`)

export const network = z
  .string()
  .refine(isNetwork, { error: ({ input }) => `${JSON.stringify(input)} is not a network` })
  .describe('a network; must be an IP address or CIDR notation, such as 10.0.0.0/8 or fd00::/8')

function isNetwork(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/')
  const bits = isIP(address) === 4 ? 32 : isIP(address) === 6 && !address.includes('%') ? 128 : -1
  if (bits < 0 || rest.length > 0) return false
  return prefix === undefined || (/^(?:0|[1-9]\d{0,2})$/.test(prefix) && Number(prefix) <= bits)
}

export const origin = z
  .string()
  .refine((text) => URL.parse(text)?.origin === text && /^https?:[^*]+$/.test(text), {
    error: ({ input }) => `${JSON.stringify(input)} is not an origin`,
  })
  .describe('an origin; must be scheme, host and port, such as https://console.example.com')

export const proxyUrl = z
  .string()
  .superRefine((text, context) => {
    const message = proxyUrlProblem(text)
    if (message !== undefined) context.addIssue({ code: 'custom', message })
  })
  .describe('the URL of the proxy; must be http://HOST:PORT or https://HOST:PORT')

/** Does not quote the URL, which may contain a password. */
function proxyUrlProblem(text: string): string | undefined {
  const url = URL.parse(text)
  if (url === null || !/^https?:\/\//.test(text)) return 'is not the URL of a proxy'
  if (url.username !== '' || url.password !== '') {
    return 'contains a user name or password, which belong in credentialsFile'
  }
  return url.pathname === '/' && !/[?#]/.test(text) ? undefined : 'has a path, query or fragment'
}

export const namePrefix = (meaning: string) =>
  z
    .string()
    .max(200, 'is longer than 200 characters')
    .refine((text) => !text.toLowerCase().startsWith('system:'), 'is reserved for Kubernetes')
    .default('')
    .describe(`${meaning}; must be a text such as "cert:", or "" for none`)

export const groupPattern = z
  .string()
  .regex(/^[^*]+\*?$|^\*$/, 'is empty, or has a * that is not at the end')
  .describe('a group; must be a name, or the beginning of names with "*" at the end')

export const httpsOrigin = (meaning: string) =>
  z
    .string()
    .refine((text) => URL.parse(text)?.origin === text && text.startsWith('https://'), {
      error: ({ input }) => `${JSON.stringify(input)} is not an https URL without a path`,
    })
    .describe(`URL of ${meaning}; must be https://HOST[:PORT]`)

export const systemName = z
  .string()
  .startsWith('system:', 'does not begin with "system:"')
  .describe('a name; must begin with "system:": other names need not be listed')
