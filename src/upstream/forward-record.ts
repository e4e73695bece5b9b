/** The part of a request's audit record (audit/record.ts) that learns how it is forwarded. */
export interface ForwardRecord {
  /** The request is being sent, with the user's identity. */
  identityAsserted(mode: string): void
  /**
   * Whether the head of the response may only be written after `responseStarted`, when `recorded` has
   * resolved to true. Otherwise `responseStarted` is called when it has been written.
   */
  readonly holdsResponse: boolean
  /** @param status of the response (101 included) */
  responseStarted(status: number): void
  readonly recorded: Promise<boolean> | undefined
}

/** Why a response was withheld; for the audit event. */
export const NOT_RECORDED = 'the response was withheld: the audit log cannot be written'
