/**
 * `audit.k8s.io/v1` Event (apiserver/pkg/apis/audit/v1/types.go), with the fields that a proxy fills
 * at level Metadata. Fields are in the order in which they are written.
 */
import type { UserInfo } from '../authentication/authenticator.ts'

export type AuditStage = 'RequestReceived' | 'ResponseStarted' | 'ResponseComplete' | 'Panic'

export interface ObjectReference {
  readonly resource?: string
  readonly namespace?: string
  readonly name?: string
  readonly apiGroup?: string
  readonly apiVersion?: string
  readonly subresource?: string
}

export interface AuditEvent {
  readonly kind: 'Event'
  readonly apiVersion: 'audit.k8s.io/v1'
  readonly level: 'Metadata'
  readonly auditID: string
  readonly stage: AuditStage
  readonly requestURI: string
  readonly verb: string
  readonly user: Partial<UserInfo>
  /** The user whom `user` acts as (`kubectl --as`). */
  readonly impersonatedUser?: Partial<UserInfo>
  readonly authenticationMetadata?: { readonly impersonationConstraint: string }
  readonly sourceIPs: readonly string[]
  readonly userAgent?: string
  readonly objectRef?: ObjectReference
  readonly responseStatus?: {
    readonly metadata: Record<string, never>
    readonly status?: 'Failure'
    readonly message?: string
    readonly reason?: string
    readonly code: number
  }
  /** RFC 3339 with microseconds. */
  readonly requestReceivedTimestamp: string
  readonly stageTimestamp: string
  readonly annotations: Readonly<Record<string, string>>
}
