/**
 * The file with the code that V8 made of a script, so that a start need not make it again. V8 rejects the
 * code of another version, and what was made with other options. It notices neither damage nor a script
 * that was changed and has the same length: the hash in front of the code covers both files.
 */
// See server-script.ts.
const { createHash } = process.getBuiltinModule('node:crypto')

const HASH_BYTES = 32

/**
 * Returns the content of the file.
 *
 * @param code from `Script.createCachedData`
 */
export function packCodeCache(script: Buffer, code: Buffer): Buffer {
  return Buffer.concat([hashOf(script, code), code])
}

/**
 * Returns what `new Script` takes as `cachedData`; undefined when the file is damaged or belongs to
 * another script.
 */
export function unpackCodeCache(script: Buffer, file: Buffer): Buffer | undefined {
  const code = file.subarray(HASH_BYTES)
  return hashOf(script, code).equals(file.subarray(0, HASH_BYTES)) ? code : undefined
}

function hashOf(script: Buffer, code: Buffer): Buffer {
  return createHash('sha256').update(script).update(code).digest()
}
