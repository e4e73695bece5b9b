/**
 * The life of a request to the Kubernetes API, top to bottom, inside the frame that every exchange
 * gets (frame.ts). Each stage returns what the next one takes, and any of them refuses by throwing.
 * A stage is awaited only when it has to wait: a turn of the microtask queue costs as much as some of
 * the stages.
 */
import type { AuditRecord, Auditor } from '../audit/record.ts'
import { unrecorded } from '../audit/unrecorded.ts'
import type { Authenticator } from '../authentication/authenticator.ts'
import { unauthorized, webSocketToken } from '../authentication/bearer.ts'
import { admit, type Attributes, type Decision } from '../authorization/authorizer.ts'
import type { ClientRequest, Exchange } from '../http/exchange.ts'
import { inspectHeaders } from '../http/inspect.ts'
import { rateLimitHeaders } from '../limits/headers.ts'
import type { Limiter, Slot } from '../limits/limiter.ts'
import { refuseLocked, type Locks } from '../locks/locks.ts'
import type { Metrics } from '../metrics.ts'
import { requestClass } from '../request/long-running.ts'
import { isQueryLong, resolveRequestInfo, resolveWithoutQuery } from '../request/request-info.ts'
import { parseTarget } from '../request/target.ts'
import type { RequestClass } from '../request/types.ts'
import type { ForwardOutcome } from '../upstream/outcome.ts'
import type { Cluster } from './cluster.ts'
import { refuseCrossSite, type OriginPolicy } from './cross-site.ts'
import { CuttableRequest } from './cuttable-request.ts'
import type { Frame, Handled, Handler, Observed } from './frame.ts'
import { impersonate } from './impersonation.ts'
import type { LiveRequests } from './live-requests.ts'
import { refuseOtherExpectations, refuseQueryCredential } from './unsupported.ts'

/** Read anew for every request: a reload replaces a member, and the next request sees it. */
export interface Stages {
  readonly auditor: Auditor
  readonly limiter: Limiter
  readonly authenticate: Authenticator
  readonly locks: Locks
  /** The cluster that a request is for. */
  readonly clusterOf: (request: ClientRequest) => Cluster
}

export interface HandlerChainOptions {
  readonly stages: Pick<Stages, 'limiter' | 'authenticate' | 'locks' | 'clusterOf'>
  readonly live: LiveRequests
  readonly ownHeaders: Frame['ownHeaders']
  readonly originPolicy: OriginPolicy
}

export interface HandlerChainEffects {
  readonly metrics: Pick<Metrics, 'requestsInFlight' | 'shadowDecisions'>
}

/** Creates the handler that runs a request through the stages, in order. */
export function createHandlerChain(
  { stages, live, ownHeaders, originPolicy }: HandlerChainOptions,
  { metrics }: HandlerChainEffects,
): Handler {
  return async function handle(
    exchange: Exchange,
    record: AuditRecord,
    observed: Observed,
  ): Promise<Handled> {
    const { request } = exchange
    observed.handler = 'kubernetes'
    const cluster = stages.clusterOf(request)

    const target = parseTarget(request.method, request.rawTarget)
    // A long query is parsed only for an authenticated user.
    const isLong = isQueryLong(target)
    let info = isLong
      ? resolveWithoutQuery(request.method, target)
      : resolveRequestInfo(request.method, target)
    record.resolved(target, info)
    observed.verb = info.verb
    const headers = inspectHeaders(request.rawHeaders)
    refuseOtherExpectations(exchange)

    const recognized = stages.authenticate({
      connection: request.connection,
      authorization: headers.authorization,
      webSocketToken: upgradeToken(exchange, headers.webSocketProtocols),
      rawHeaders: request.rawHeaders,
    })
    const authentication = recognized instanceof Promise ? await recognized : recognized
    if (authentication === undefined) throw unauthorized('no credential')
    record.authenticated(authentication)
    exchange.recognized()
    refuseCrossSite(request.connection, headers, originPolicy)

    const running = new CuttableRequest(cluster, authentication, request.connection)
    // In the list before anything is decided about the user: what changes later ends it.
    const remove = live.add(running)
    let slot: Slot | undefined
    try {
      refuseLocked(stages.locks, authentication, request.connection)
      const { user } = authentication
      let classOf = requestClass(info)
      observed.requestClass = classOf
      const admission = stages.limiter.admitUser(user, classOf)
      slot = admission instanceof Promise ? await admission : admission
      if (isLong) {
        // Charged first, as what the request is without its query: parsing it may take milliseconds.
        info = resolveRequestInfo(request.method, target)
        record.resolved(target, info)
        observed.verb = info.verb
        const charged = classOf
        classOf = requestClass(info)
        observed.requestClass = classOf
        slot = await recharge(slot, charged, classOf, () => stages.limiter.admitUser(user, classOf))
      }
      record.admitted()
      refuseQueryCredential(target, info)

      const onDecision = (made: Decision): void => {
        const decision = running.inEffect(made)
        if (decision === undefined) return
        observed.decision = decision.decision
        record.decided(decision)
        for (const shadow of decision.shadow) metrics.shadowDecisions.inc({ ...shadow })
      }
      const attributes =
        headers.impersonation === undefined
          ? { user, info }
          : await effectiveAttributes(
              exchange,
              headers.impersonation,
              { user, info },
              running,
              record,
            )
      running.attributes = attributes
      refuseLockedTarget(stages.locks, running, attributes)
      const admitted = admit(attributes, cluster.authorize, onDecision)
      const authorized = admitted instanceof Promise ? await admitted : admitted
      running.throwIfCut()
      record.forwarding()
      if (record.recorded !== undefined)
        await untilRecorded(record.recorded, () => running.throwIfCut(onDecision))

      const inFlight = { class: classOf }
      metrics.requestsInFlight.inc(inFlight)
      try {
        const outcome = await cluster.upstream.forward({
          exchange,
          authorized,
          target,
          auditID: record.auditID,
          ownHeaders: ownHeaders(record).concat(limitHeaders(slot)),
          record,
          onCut: (end) => running.endBy(end),
        })
        return outcome.abortedBy === 'gatehouse' ? withCause(outcome, remove(), running) : outcome
      } finally {
        metrics.requestsInFlight.dec(inFlight)
      }
    } finally {
      remove()
      slot?.release()
    }
  }
}

/** The user whom the request is made as, too: it is only known now. */
function refuseLockedTarget(
  locks: Stages['locks'],
  { authentication, connection }: CuttableRequest,
  { impersonator, user }: Attributes,
): void {
  if (impersonator !== undefined) refuseLocked(locks, authentication, connection, user)
}

/** @param cause why it was ended from here; undefined when it was not */
function withCause(
  outcome: ForwardOutcome,
  cause: string | undefined,
  { endedFor: { lock, revocation } }: CuttableRequest,
): Handled {
  if (cause === undefined) return outcome
  return {
    ...{ ...outcome, cause },
    ...(lock === undefined ? {} : { lock }),
    ...(revocation === undefined ? {} : { revocation }),
  }
}

/** Moves the charge to the class that the request has with its query. */
async function recharge(
  slot: Slot,
  charged: RequestClass,
  actual: RequestClass,
  admitUser: () => ReturnType<Limiter['admitUser']>,
): Promise<Slot> {
  if (actual === charged) return slot
  slot.release()
  return admitUser()
}

/** The attributes of a request that is made as another user, or as the caller if there is no other. */
async function effectiveAttributes(
  { request }: Exchange,
  header: string,
  own: Attributes,
  running: CuttableRequest,
  record: AuditRecord,
): Promise<Attributes> {
  const impersonated = await impersonate({
    caller: own.user,
    rawHeaders: request.rawHeaders,
    info: own.info,
    cluster: running.cluster,
    header,
    onAsked: (asked) => (running.impersonation = asked),
  })
  if (impersonated === undefined) return own
  record.impersonated(impersonated)
  return { ...own, user: impersonated.user, impersonator: own.user }
}

/** @throws StatusError when the request must not be forwarded: it has no event, or was ended meanwhile */
async function untilRecorded(recorded: Promise<boolean>, throwIfCut: () => void): Promise<void> {
  if (!(await recorded)) throw unrecorded()
  throwIfCut()
}

/** As in kube-apiserver, a subprotocol is a credential only on a WebSocket upgrade. */
function upgradeToken(exchange: Exchange, protocols: readonly string[]): string | undefined {
  if (!exchange.request.isUpgrade) return undefined
  return exchange.header('upgrade')?.toLowerCase() === 'websocket'
    ? webSocketToken(protocols)
    : undefined
}

function limitHeaders({ state }: Slot): readonly string[] {
  return state === undefined ? [] : rateLimitHeaders(state)
}
