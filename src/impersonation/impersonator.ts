/**
 * `kubectl --as`: decides whether a caller may make a request as another user, with kube-apiserver's
 * answers (apiserver/pkg/endpoints/filters/impersonation), and returns that user. The API server is asked
 * about the caller; it never sees the caller's own request.
 */
import type { UserInfo } from '../authentication/authenticator.ts'
import type { GuardOptions } from '../authentication/identity-guard.ts'
import { forbidden } from '../authorization/authorizer.ts'
import { createLru } from '../lru.ts'
import { StatusError } from '../status.ts'
import type { AccessReviewer } from './access-reviews.ts'
import type { EnforcementProbe } from './enforcement.ts'
import {
  CONSTRAINED_MODES,
  legacy,
  legacyAlone,
  type Impersonation,
  type Mode,
  type ModeSteps,
  type Step,
} from './modes.ts'
import { guardTarget, targetUser } from './target-user.ts'

export interface ImpersonatedUser {
  /** Whom the request is made as. */
  readonly user: UserInfo
  /** The verb of a constrained mode, such as `impersonate:user-info`; empty in legacy mode. */
  readonly constraint: string
}

/**
 * @throws StatusError 403 when the user cannot be impersonated through Gatehouse, or when the API server
 * does not allow the caller to impersonate it; 503 when the API server does not decide
 */
export type Impersonator = (impersonation: Impersonation) => Promise<ImpersonatedUser>

export interface ImpersonatorOptions {
  readonly systemIdentities: GuardOptions['systemIdentities']
}

export interface ImpersonatorEffects {
  readonly review: AccessReviewer
  readonly isEnforced: EnforcementProbe
}

/** Of one request, so that a request for many groups does not push others aside. */
const REVIEWS_AT_ONCE = 4
/** As in kube-apiserver: the mode that worked last for a caller is tried first. */
const MAX_CALLERS = 10_000

/** Creates the impersonator. */
export function createImpersonator(
  { systemIdentities }: ImpersonatorOptions,
  { review, isEnforced }: ImpersonatorEffects,
): Impersonator {
  const lastModes = createLru<Mode>(MAX_CALLERS)

  /** Resolves with why the mode does not allow it; undefined if it does. */
  async function refusalOf({ steps }: ModeSteps): Promise<StatusError | undefined> {
    for (const step of steps) {
      const refusal = await refusalOfStep(step)
      if (refusal !== undefined) return refusal
    }
    return undefined
  }

  async function refusalOfStep({ checks, shortcut, refusal }: Step) {
    if (refusal !== undefined) return forbidden(refusal.attributes, refusal.reason)
    if (shortcut !== undefined && (await review(shortcut)).allowed) return undefined
    for (let i = 0; i < checks.length; i += REVIEWS_AT_ONCE) {
      const some = checks.slice(i, i + REVIEWS_AT_ONCE)
      const reviews = await Promise.all(some.map(review))
      const denied = reviews.findIndex(({ allowed }) => !allowed)
      const attributes = some[denied]
      if (attributes !== undefined) return forbidden(attributes, reviews[denied]?.reason ?? '')
    }
    return undefined
  }

  async function modesFor({ caller }: Impersonation): Promise<readonly Mode[]> {
    if (!(await isEnforced())) return [legacyAlone]
    const modes = [...CONSTRAINED_MODES, legacy]
    const last = lastModes.get(caller.username)
    return last === undefined ? modes : [last, ...modes.filter((mode) => mode !== last)]
  }

  return async (impersonation) => {
    const { caller, requested } = impersonation
    guardTarget(requested, { systemIdentities })
    let first: StatusError | undefined
    for (const mode of await modesFor(impersonation)) {
      const steps = mode(impersonation)
      if (steps === undefined) continue
      const refusal = await refusalOf(steps)
      if (refusal === undefined) {
        lastModes.set(caller.username, mode)
        const user = targetUser(requested, steps.derivedGroups, caller)
        return { user, constraint: steps.constraint }
      }
      first ??= refusal
    }
    // The legacy mode supports every user, so there is a first refusal.
    throw first ?? new StatusError('InternalError', 'no mode of impersonation applies')
  }
}
