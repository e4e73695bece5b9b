/**
 * Memory that response bodies are gathered in, used again for later ones. A slab has one holder at a
 * time, and goes back only when its bytes were written: until then, new bytes in it would be another
 * user's response within this one. What nobody gives back is left to the garbage collector.
 */

/** Large enough that few writes carry a body, small enough for the processor's cache. */
export const SLAB_BYTES = 131_072
/** Slabs kept for later use. */
const MAX_FREE = 32

export interface Slab {
  readonly bytes: Buffer
  /** To be called once nobody reads or writes the bytes any more; more calls do nothing. */
  readonly giveBack: () => void
}

export interface Slabs {
  take(): Slab
  /** How many wait for their next use. */
  readonly free: number
}

/** Creates a store of slabs, which allocates them as needed. */
export function createSlabs(): Slabs {
  const free: Buffer[] = []
  return {
    take() {
      // Not from Node's own pool of small buffers, whose memory others share.
      const bytes = free.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES)
      let isHeld = true
      return {
        bytes,
        giveBack() {
          // After a second call, two responses would hold the slab.
          if (!isHeld) return
          isHeld = false
          if (free.length < MAX_FREE) free.push(bytes)
        },
      }
    },
    get free() {
      return free.length
    },
  }
}
