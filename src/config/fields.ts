/** Kinds of fields of gatehouse.yaml; what stands behind ";" says how one is written. */
import { isIP } from 'node:net'

import { z } from 'zod'

export const path = (what: string) =>
  z.string().min(1, 'is empty').describe(`${what}; a path relative to this file`)

export const count = (what: string, max = 1_000_000) =>
  z.int().min(1).max(max).describe(`${what}; a whole number from 1 to ${max}`)

export const port = (what: string) =>
  z.int().min(0).max(65_535).describe(`${what}; a port, 0 for any free one`)

export const address = (what: string) =>
  z
    .string()
    .refine((text) => isIP(text) !== 0, {
      error: ({ input }) => `${JSON.stringify(input)} is no IP address`,
    })
    .describe(`${what}; an IP address to bind, such as 127.0.0.1, 0.0.0.0 or ::`)

export const headerName = (what: string) =>
  z
    .string()
    .regex(/^[A-Za-z0-9-]{1,64}$/, 'is no header name')
    .describe(`${what}; letters, digits and "-"`)

export const systemName = z
  .string()
  .startsWith('system:', 'does not begin with "system:"')
  .describe('a name; beginning with "system:", since others need not stand here')
