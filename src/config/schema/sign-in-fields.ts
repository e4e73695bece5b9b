/** Fields that several ways to sign in have. */
import { z } from 'zod'

export const methodName = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'is not a name')
  .describe(
    'what users write after --method; must be lower-case letters, digits and "-", at most 63',
  )

export const methodDisplayName = z
  .string()
  .max(128)
  .optional()
  .describe('name for people; must be a string')

export const signInIssuer = z
  .string()
  .min(1, 'is empty')
  .describe('issuer that signs users in; must be the url of an issuer in authentication.configFile')
