/** The forwarded requests of the moment, so that a shutdown can tell them to end. */
export interface LiveStreams {
  /** Returns the way to take it out again. */
  add(cut: (reason: Error) => void): () => void
  readonly size: number
  cutAll(reason: Error): void
}

export function createLiveStreams(): LiveStreams {
  const live = new Set<(reason: Error) => void>()
  return {
    add(cut) {
      live.add(cut)
      return () => live.delete(cut)
    },
    get size() {
      return live.size
    },
    cutAll(reason) {
      for (const cut of live) cut(reason)
    },
  }
}
