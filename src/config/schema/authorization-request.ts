/** What the administrator adds to authorization requests (RFC 6749 section 4.1.1). */
import { z } from 'zod'

/** Parameters of an authorization request that only the client may set (RFC 6749, 7636, 9126, OIDC). */
const PROTOCOL_PARAMETERS: ReadonlySet<string> = new Set([
  ...['client_id', 'client_secret', 'redirect_uri', 'response_type', 'response_mode', 'scope'],
  ...['state', 'nonce', 'code_challenge', 'code_challenge_method', 'request', 'request_uri'],
  ...['registration', 'dpop_jkt', 'id_token_hint'],
])

export const extraParameter = z.strictObject({
  name: z
    .string()
    .regex(/^[\x21-\x7e]{1,128}$/, 'is not the name of a parameter')
    .refine((name) => !PROTOCOL_PARAMETERS.has(name), {
      error: ({ input }) => `${JSON.stringify(input)} is set by the client itself`,
    })
    .describe('name of the parameter; must be a parameter that the issuer documents'),
  value: z.string().max(1_024, 'is too long').describe('its value; must be a string'),
})

/** RFC 6749 section 3.3. */
export const scope = z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, 'is not a scope')
