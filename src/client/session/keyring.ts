/**
 * The operating system's keyring. It holds one key, with which the secrets of all sessions are
 * encrypted: some keyrings take no more than 2.5 kB, and tokens are longer.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

const SERVICE = 'gatehouse'
const ENTRY = 'sign-in cache'
const CIPHER = 'aes-256-gcm'
const NONCE_BYTES = 12
const TAG_BYTES = 16
/** A locked keyring may ask its user for a password. */
const TIMEOUT_MS = 30_000

/** The part of `@napi-rs/keyring` that is used. */
interface KeyringModule {
  AsyncEntry: new (
    service: string,
    name: string,
    options?: { linux?: { store: 'secret-service' } },
  ) => {
    getPassword(signal?: AbortSignal): Promise<string | null | undefined>
    setPassword(password: string, signal?: AbortSignal): Promise<void>
  }
}

/**
 * Encrypts with the key in the keyring, which is made if there is none; undefined without a keyring.
 *
 * @param context is authenticated with it, and not encrypted
 */
export async function seal(text: string, context: string): Promise<string | undefined> {
  const key = (await storedKey()) ?? (await newKey())
  if (key === undefined) return undefined
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv(CIPHER, key, nonce)
  cipher.setAAD(Buffer.from(context))
  const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64')
}

/** Decrypts what {@link seal} returned; undefined without its key, or when it or its context was changed. */
export async function unseal(sealed: string, context: string): Promise<string | undefined> {
  const key = await storedKey()
  if (key === undefined) return undefined
  const bytes = Buffer.from(sealed, 'base64')
  const start = NONCE_BYTES + TAG_BYTES
  if (bytes.length < start) return undefined
  try {
    const decipher = createDecipheriv(CIPHER, key, bytes.subarray(0, NONCE_BYTES))
    decipher.setAAD(Buffer.from(context))
    decipher.setAuthTag(bytes.subarray(NONCE_BYTES, start))
    return decipher.update(bytes.subarray(start), undefined, 'utf8') + decipher.final('utf8')
  } catch {
    return undefined
  }
}

async function storedKey(): Promise<Buffer | undefined> {
  try {
    const password = await (await entry()).getPassword(AbortSignal.timeout(TIMEOUT_MS))
    const key = Buffer.from(password ?? '', 'base64')
    return key.length === 32 ? key : undefined
  } catch {
    return undefined
  }
}

async function newKey(): Promise<Buffer | undefined> {
  const key = randomBytes(32)
  try {
    await (await entry()).setPassword(key.toString('base64'), AbortSignal.timeout(TIMEOUT_MS))
  } catch {
    return undefined
  }
  // What another process wrote at the same time, or nothing at all, where the keyring only pretends.
  return storedKey()
}

async function entry(): Promise<InstanceType<KeyringModule['AsyncEntry']>> {
  const { AsyncEntry } = (await import('@napi-rs/keyring')) as KeyringModule
  // On Linux not the kernel's keyring, which is empty after each boot.
  return new AsyncEntry(SERVICE, ENTRY, { linux: { store: 'secret-service' } })
}
