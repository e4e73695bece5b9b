/** The port that finds where a stream may end: between two frames, so that no watcher sees half an event. */

/** How long a stream that is to end may take to the end of a frame, and then to reach the client. */
export const FRAME_END_MS = 1_000

export interface FrameEnds {
  /** Whether nothing was received behind the end of a frame. */
  readonly isAtEnd: boolean
  /** Returns how many bytes of the chunk end with the last frame that ends in it; 0 when none does. */
  add(chunk: Buffer): number
}
