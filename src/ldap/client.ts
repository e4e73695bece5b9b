/**
 * The client's side of a connection to a directory. Requests are encoded by ldapts. Responses are read here,
 * since ldapts 9.2 takes an empty response for success, loops forever at an element that is longer than its
 * message, and returns a search that was cut off as if it were complete.
 */
import type { Socket } from 'node:net'

import {
  BindRequest,
  BindResponse,
  ExtendedRequest,
  FilterParser,
  PagedResultsControl,
  SearchRequest,
  StatusCodeParser,
  UnbindRequest,
  type Filter,
} from 'ldapts'

import { elementLength, MalformedResponse } from './ber.ts'
import { readResponse, type Entry, type LdapResponse, type LdapResult } from './response.ts'

export interface LdapSearch {
  /** Itself and everything below it is searched. */
  readonly baseDN: string
  /** An LDAP filter as text, or parsed. */
  readonly filter: string | Filter
  readonly attributes: readonly string[]
  /** Entries that are of use; beyond them, the result is that the limit was exceeded (code 4). */
  readonly sizeLimit?: number
  /** Entries of one page, for a server that limits their number. Without it, there is one. */
  readonly pageSize?: number
}

interface Operation {
  readonly id: number
  readonly kind: 'bound' | 'extended' | 'searched'
  readonly entries: Entry[]
  bytes: number
  /** Entries, and their attributes and values. */
  items: number
  readonly resolve: (done: Done) => void
  readonly reject: (error: Error) => void
}

interface Done {
  readonly result: LdapResult
  readonly entries: readonly Entry[]
  readonly cookie: Buffer
}

const START_TLS = '1.3.6.1.4.1.1466.20037'
/** A message, such as an entry with the few attributes that were asked for. */
const MAX_MESSAGE_BYTES = 1_048_576
/** Everything that a server sends in response to one request. */
const MAX_RESPONSE_BYTES = 16 * MAX_MESSAGE_BYTES
/** In response to one request, since each takes many times the memory of its bytes. */
const MAX_ITEMS = 20_000
/** A server may send pages without entries. */
const MAX_PAGES = 100
const CLOSE_TIMEOUT_MS = 1_000

/** One connection, with one request at a time. After an error it is closed, and it is never opened again. */
export class LdapClient {
  readonly #socket: Socket
  readonly #timeout: number
  #operation: Operation | undefined
  #received: Buffer[] = []
  #receivedBytes = 0
  /** Bytes with which there is something to read. */
  #neededBytes = 1
  #lastId = 0
  #failure: Error | undefined

  /**
   * @param socket connected
   * @param timeout milliseconds for each operation
   */
  constructor(socket: Socket, timeout: number) {
    this.#socket = socket
    this.#timeout = timeout
    socket.on('data', this.#read)
    socket.on('error', this.#fail)
    socket.on('close', this.#closed)
  }

  /**
   * Binds with a password.
   *
   * @throws ResultCodeError when the server rejects it, Error when there is no response
   */
  async bind(dn: string, password: string): Promise<void> {
    const request = (messageId: number) => new BindRequest({ messageId, dn, password })
    requireSuccess(await this.#request('bound', request))
  }

  /**
   * Searches below a base, and yields what is found, page by page. References to other servers are not
   * followed: they would get the search of the service account.
   *
   * @throws ResultCodeError when the server refuses, or does not return everything; Error as above
   */
  async *search(options: LdapSearch): AsyncGenerator<Entry, void> {
    const { baseDN, filter, attributes, sizeLimit = 0, pageSize } = options
    const parsed = typeof filter === 'string' ? FilterParser.parseString(filter) : filter
    const paging = pageSize === undefined ? undefined : new PagedResultsControl({})
    let cookie = Buffer.alloc(0)
    for (let page = 0; page < MAX_PAGES; page++) {
      if (paging !== undefined) paging.value = { size: pageSize ?? 0, cookie }
      const done = await this.#request('searched', (messageId) => {
        const controls = paging === undefined ? [] : [paging]
        const what = { baseDN, filter: parsed, attributes: [...attributes], sizeLimit }
        return new SearchRequest({ messageId, scope: 'sub', ...what, controls })
      })
      requireSuccess(done)
      yield* done.entries
      if (paging === undefined || done.cookie.length === 0) return
      cookie = Buffer.from(done.cookie)
    }
    throw new Error(`a search has more than ${MAX_PAGES} pages`)
  }

  /**
   * Asks the server to begin TLS on this connection.
   *
   * @returns the socket, of which this client takes no more notice
   * @throws ResultCodeError or Error as above; also when plain text follows the response (CVE-2011-0411)
   */
  async startTLS(): Promise<Socket> {
    const request = (messageId: number) => new ExtendedRequest({ messageId, oid: START_TLS })
    requireSuccess(await this.#request('extended', request))
    const socket = this.#socket
    socket.off('data', this.#read).off('close', this.#closed)
    return socket
  }

  /** Ends the connection, whatever its state. */
  close(): void {
    this.#failure ??= new Error('the connection was closed')
    this.#operation?.reject(this.#failure)
    const socket = this.#socket
    if (socket.writable) socket.end(new UnbindRequest({ messageId: ++this.#lastId }).write())
    socket.setTimeout(CLOSE_TIMEOUT_MS, () => socket.destroy())
    socket.destroySoon()
  }

  async #request(
    kind: Operation['kind'],
    make: (id: number) => { write(): Buffer },
  ): Promise<Done> {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#operation !== undefined) throw new Error('another request is under way')
    const id = ++this.#lastId
    const bytes = make(id).write()
    const timer = setTimeout(() => {
      this.#fail(new Error(`no response within ${this.#timeout} ms`))
    }, this.#timeout)
    try {
      const done = await new Promise<Done>((resolve, reject) => {
        this.#operation = { id, kind, entries: [], bytes: 0, items: 0, resolve, reject }
        this.#socket.write(bytes)
      })
      // Something that belongs to nothing may have followed the response.
      const failure = this.#failureNow()
      if (failure !== undefined) throw failure
      return done
    } finally {
      clearTimeout(timer)
      this.#operation = undefined
    }
  }

  /** A method, so that types do not remember the check before the request. */
  #failureNow(): Error | undefined {
    return this.#failure
  }

  readonly #read = (chunk: Buffer): void => {
    try {
      if (this.#operation !== undefined) this.#operation.bytes += chunk.length
      if ((this.#operation?.bytes ?? 0) > MAX_RESPONSE_BYTES) {
        throw new MalformedResponse(`it has more than ${MAX_RESPONSE_BYTES} bytes`)
      }
      this.#received.push(chunk)
      this.#receivedBytes += chunk.length
      // Not with each of many small pieces: all of them are copied.
      if (this.#receivedBytes >= this.#neededBytes) this.#takeAll(Buffer.concat(this.#received))
    } catch (error) {
      this.#fail(error as Error)
    }
  }

  #takeAll(received: Buffer): void {
    let rest = received
    let length: number | undefined
    while (rest.length > 0) {
      length = this.#lengthOf(rest)
      if (length === undefined || length > rest.length) break
      this.#take(readResponse(rest.subarray(0, length)))
      rest = rest.subarray(length)
    }
    this.#received = [rest]
    this.#receivedBytes = rest.length
    this.#neededBytes = rest.length === 0 ? 1 : (length ?? rest.length + 1)
  }

  /** @throws Error for bytes that nothing has asked for, or a message that is too large */
  #lengthOf(bytes: Buffer): number | undefined {
    if (this.#operation === undefined) throw new Error('the server sent what nothing asked for')
    const length = elementLength(bytes)
    if ((length ?? 0) > MAX_MESSAGE_BYTES) throw new MalformedResponse('a message is too large')
    return length
  }

  #take(response: LdapResponse): void {
    const operation = this.#operation
    if (response.id !== operation?.id) {
      if (response.id !== 0 || response.kind !== 'extended') {
        throw new MalformedResponse('it belongs to no request')
      }
      // RFC 4511 section 4.4.1: the notice of disconnection is the only one.
      throw new Error(`the server has closed the connection: LDAP result ${response.result.code}`)
    }
    const { kind, entries } = operation
    if (kind === 'searched' && response.kind === 'entry') {
      entries.push(response.entry)
      const { attributes } = response.entry
      operation.items += 1
      for (const values of attributes.values()) operation.items += 1 + values.length
      if (operation.items > MAX_ITEMS) {
        throw new MalformedResponse(`it has more than ${MAX_ITEMS} entries, attributes and values`)
      }
    } else if (kind === 'searched' && response.kind === 'reference') return
    else if (response.kind === kind) {
      const { result, cookie } = response
      this.#operation = undefined
      operation.resolve({ result, entries, cookie })
    } else throw new MalformedResponse('it is a response to another kind of request')
  }

  readonly #fail = (error: Error): void => {
    this.#failure ??= error
    this.#operation?.reject(this.#failure)
    this.#received = []
    this.#socket.destroy()
  }

  readonly #closed = (): void => {
    this.#fail(new Error('the server closed the connection'))
  }
}

function requireSuccess({ result: { code } }: Done): void {
  if (code === 0) return
  throw StatusCodeParser.parse(new BindResponse({ messageId: 0, status: code }))
}
