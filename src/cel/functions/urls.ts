/** URLs (apiserver pkg/cel/library/urls.go). */
import { CelValueError } from '../error.ts'
import type { Library } from '../library.ts'
import type { Meter } from '../meter.ts'
import { List, PlainMap, type Opaque, type Value } from '../values.ts'
import {
  escapedPath,
  isUrl,
  parametersOf,
  parseUrl,
  splitHost,
  urlText,
  type GoUrl,
} from './go-url.ts'

const URL = 'kubernetes.URL'

interface Url extends Opaque {
  readonly url: GoUrl
}

export const urls: Library = {
  url: [[`string -> ${URL}`, (meter, text: string) => urlOf(meter, text)]],
  isURL: [
    [
      'string -> bool',
      (meter, text: string) => {
        charge(meter, text)
        return isUrl(bytesOf(text))
      },
    ],
  ],
  getScheme: [[`.${URL} -> string`, (_meter, { url }: Url) => url.scheme]],
  getHost: [[`.${URL} -> string`, (meter, { url }: Url) => textOf(meter, url.host)]],
  getHostname: [[`.${URL} -> string`, (meter, { url }: Url) => textOf(meter, splitHost(url)[0])]],
  getPort: [[`.${URL} -> string`, (_meter, { url }: Url) => splitHost(url)[1]]],
  getEscapedPath: [[`.${URL} -> string`, (meter, { url }: Url) => textOf(meter, escapedPath(url))]],
  getQuery: [
    [`.${URL} -> map(string, list(string))`, (meter, { url }: Url) => queryOf(meter, url)],
  ],
}

function urlOf(meter: Meter, text: string): Opaque {
  charge(meter, text)
  const url = parseUrl(bytesOf(text))
  if (url === undefined) throw new CelValueError('URL parse error')
  const found: Url = { opaqueType: URL, text: urlText(url), url }
  return found
}

function queryOf(meter: Meter, url: GoUrl): Value {
  // Also for the parameters that are left out.
  charge(meter, url.rawQuery)
  const entries = Array.from(parametersOf(url), ([name, values]) => {
    const items = values.map((value) => textOf(meter, value))
    return [textOf(meter, name), new List(items, { isGoStrings: true })] as const
  })
  return new PlainMap(entries)
}

/** The longest step is to escape, which looks at each byte for itself. */
function charge(meter: Meter, text: string): void {
  meter.charge(1 + text.length)
}

function bytesOf(text: string): string {
  return Buffer.from(text).toString('latin1')
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** @throws CelValueError for bytes that are not UTF-8, which Go passes on */
function textOf(meter: Meter, bytes: string): string {
  charge(meter, bytes)
  try {
    return utf8.decode(Buffer.from(bytes, 'latin1'))
  } catch {
    throw new CelValueError('a part of the URL is not UTF-8')
  }
}
