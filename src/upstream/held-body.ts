import type { ResponseReceiver } from './transport.ts'

/** Bytes; when they are exceeded, the API server waits. */
const MAX_HELD_BYTES = 65_536

interface Piece {
  readonly chunk: Buffer
  readonly giveBack: (() => void) | undefined
}

/** The body of a response whose head waits for its audit event, as far as it has arrived. */
export class HeldBody {
  readonly #pieces: Piece[] = []
  #bytes = 0
  /** Undefined: more may arrive. */
  #end: { readonly last: Buffer | undefined } | undefined

  /** Returns false when the API server should send no more for now. */
  add(chunk: Buffer, giveBack: (() => void) | undefined): boolean {
    this.#pieces.push({ chunk, giveBack })
    this.#bytes += chunk.length
    return this.#bytes <= MAX_HELD_BYTES
  }

  end(last: Buffer | undefined): void {
    this.#end = { last }
  }

  /** Hands everything to the receiver, in the order in which it arrived. Returns whether the body has ended. */
  passOnTo(receiver: Pick<ResponseReceiver, 'onData' | 'onEnd'>): boolean {
    for (const { chunk, giveBack } of this.#pieces) receiver.onData(chunk, giveBack)
    if (this.#end === undefined) return false
    receiver.onEnd(this.#end.last)
    return true
  }
}
