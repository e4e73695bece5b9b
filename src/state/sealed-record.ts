/**
 * Records that only Gatehouse can read and write, kept where others may look: AES-256-GCM with a random
 * nonce (NIST SP 800-38D), which is safe for 2^32 records of one key.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

import type { StateKey, StateSecret } from './state-secret.ts'

const VERSION = 1
const ID_BYTES = 4
const NONCE_BYTES = 12
const TAG_BYTES = 16
const HEAD_BYTES = 1 + ID_BYTES + NONCE_BYTES + TAG_BYTES

export interface RecordSealer {
  /**
   * Seals a text.
   *
   * @param context where the record belongs, such as its key in Redis. It is not part of the result,
   * and a record that was moved to another place does not open
   * @returns base64url
   */
  seal(text: string, context: string): string
  /** The text, sealed with any key of the secret; undefined for whatever is not authentic. */
  open(sealed: string, context: string): string | undefined
}

/** Creates the sealer. */
export function createRecordSealer({ current, previous }: StateSecret): RecordSealer {
  const keys = [current, ...previous]
  return {
    seal(text, context) {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv('aes-256-gcm', current.sealingKey, nonce)
      cipher.setAAD(associated(current, context))
      const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
      const head = [Buffer.of(VERSION), current.id, nonce, cipher.getAuthTag()]
      return Buffer.concat([...head, body]).toString('base64url')
    },
    open(sealed, context) {
      const bytes = Buffer.from(sealed, 'base64url')
      if (bytes.length < HEAD_BYTES || bytes[0] !== VERSION) return undefined
      const id = bytes.subarray(1, 1 + ID_BYTES)
      for (const key of keys) {
        const text = key.id.equals(id) ? openWith(key, bytes, context) : undefined
        if (text !== undefined) return text
      }
      return undefined
    },
  }
}

function openWith(key: StateKey, bytes: Buffer, context: string): string | undefined {
  const nonce = bytes.subarray(1 + ID_BYTES, 1 + ID_BYTES + NONCE_BYTES)
  const tag = bytes.subarray(HEAD_BYTES - TAG_BYTES, HEAD_BYTES)
  const decipher = createDecipheriv('aes-256-gcm', key.sealingKey, nonce, {
    authTagLength: TAG_BYTES,
  })
  decipher.setAAD(associated(key, context))
  decipher.setAuthTag(tag)
  try {
    return Buffer.concat([decipher.update(bytes.subarray(HEAD_BYTES)), decipher.final()]).toString()
  } catch {
    return undefined
  }
}

function associated({ id }: StateKey, context: string): Buffer {
  return Buffer.concat([Buffer.of(VERSION), id, Buffer.from(context)])
}
