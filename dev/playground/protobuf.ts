/**
 * Decodes the protobuf bodies of `kubectl create`, for the few kinds whose messages are defined here
 * (k8s.io/api/core/v1/generated.proto; envelope: runtime.Unknown).
 */
import { stringAt, type Json } from './objects.ts'
import { Refusal } from './status.ts'

/** The media type of Kubernetes' protobuf encoding. */
export const PROTOBUF = 'application/vnd.kubernetes.protobuf'

type Type = 'string' | 'bytes' | 'map<string>' | 'map<bytes>' | Message
/** Name and type of each field, by its number. Other fields are skipped. */
type Message = Readonly<Record<number, readonly [name: string, type: Type]>>

const typeMeta: Message = { 1: ['apiVersion', 'string'], 2: ['kind', 'string'] }
const unknown: Message = { 1: ['typeMeta', typeMeta], 2: ['raw', 'bytes'] }
const objectMeta: Message = {
  1: ['name', 'string'],
  2: ['generateName', 'string'],
  3: ['namespace', 'string'],
  6: ['resourceVersion', 'string'],
  11: ['labels', 'map<string>'],
  12: ['annotations', 'map<string>'],
}
const metadata: Message = { 1: ['metadata', objectMeta] }
const messages: Readonly<Record<string, Message>> = {
  ConfigMap: { ...metadata, 2: ['data', 'map<string>'], 3: ['binaryData', 'map<bytes>'] },
  Namespace: metadata,
  Secret: { ...metadata, 2: ['data', 'map<bytes>'], 3: ['type', 'string'] },
  ServiceAccount: metadata,
}

const magic = Buffer.from('k8s\0')

/** The object in a body, as JSON. Throws a Refusal (BadRequest, UnsupportedMediaType). */
export function decodeProtobuf(body: Buffer): Json {
  if (!body.subarray(0, magic.length).equals(magic)) throw malformed()
  const { typeMeta: type, raw } = decode(body.subarray(magic.length), unknown) as {
    typeMeta?: { apiVersion?: string; kind?: string }
    raw?: string
  }
  const message = messages[type?.kind ?? '']
  if (type?.apiVersion !== 'v1' || message === undefined) {
    throw new Refusal(
      'UnsupportedMediaType',
      `the playground does not support protobuf for ${type?.kind ?? 'this object'}: use a manifest, with kubectl create -f or kubectl apply -f`,
    )
  }
  const object = decode(Buffer.from(raw ?? '', 'base64'), message)
  return { apiVersion: 'v1', kind: type.kind, ...object }
}

function decode(bytes: Buffer, message: Message): Json {
  const decoded: Json = {}
  let at = 0
  while (at < bytes.length) {
    const tag = varint(bytes, at)
    at = tag.next
    const field = message[tag.value >>> 3]
    switch (tag.value & 7) {
      case 0:
        at = varint(bytes, at).next
        break
      case 1:
        at += 8
        break
      case 2: {
        const length = varint(bytes, at)
        at = length.next + length.value
        if (at > bytes.length) throw malformed()
        if (field !== undefined) put(decoded, field, bytes.subarray(length.next, at))
        break
      }
      case 5:
        at += 4
        break
      default:
        throw malformed()
    }
  }
  return decoded
}

function put(decoded: Json, [name, type]: readonly [string, Type], bytes: Buffer): void {
  if (type === 'map<string>' || type === 'map<bytes>') {
    const valueType = type === 'map<string>' ? 'string' : 'bytes'
    const entry = decode(bytes, { 1: ['key', 'string'], 2: ['value', valueType] })
    const before = decoded[name] as Json | undefined
    decoded[name] = { ...before, [stringAt(entry, 'key')]: stringAt(entry, 'value') }
    return
  }
  const value = valueOf(type, bytes)
  // Go encodes empty strings; JSON omits them.
  if (value !== '') decoded[name] = value
}

/** A decoded value. In JSON, bytes are base64. */
function valueOf(type: 'string' | 'bytes' | Message, bytes: Buffer): unknown {
  if (type === 'string') return bytes.toString('utf8')
  return type === 'bytes' ? bytes.toString('base64') : decode(bytes, type)
}

/** Reads a varint of up to 32 bits (a length or a tag). Only skipped fields have longer ones. */
function varint(bytes: Buffer, from: number): { value: number; next: number } {
  let value = 0
  for (let at = from, shift = 0; at < bytes.length && shift < 70; at += 1, shift += 7) {
    const byte = bytes[at] ?? 0
    if (shift < 32) value += (byte & 0x7f) * 2 ** shift
    if (byte < 0x80) return { value, next: at + 1 }
  }
  throw malformed()
}

function malformed(): Refusal {
  return new Refusal('BadRequest', 'the body is not a Kubernetes object in protobuf')
}
