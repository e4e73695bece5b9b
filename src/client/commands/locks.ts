import { ClientFailure } from '../failure.ts'
import type { ClientHost } from '../host.ts'
import {
  requestLock,
  requestLocks,
  requestUnlock,
  type LockTarget,
  type ShownLock,
  type Target,
} from '../locks-request.ts'
import type { CommonOptions } from './environment.ts'
import { columns, formatted, type Output } from './output.ts'
import { requireSignIn } from './signed-in.ts'

/** The target of each option, by the name that commander gives the option. */
const TARGET_OPTIONS = {
  user: 'user',
  group: 'group',
  certificateSerial: 'certificateSerial',
  tokenId: 'tokenID',
  address: 'address',
  disabledAccount: 'disabledAccount',
} as const satisfies Readonly<Record<string, LockTarget>>

type TargetOptions = Readonly<Partial<Record<keyof typeof TARGET_OPTIONS, string>>>

export interface LocksOptions extends CommonOptions {
  readonly output: Output
}

export interface LockOptions extends LocksOptions, TargetOptions {
  readonly reason: string
  /** A duration such as `2h`. */
  readonly for?: string
}

export interface UnlockOptions extends CommonOptions, TargetOptions {}

/** Locks a user, a group, a certificate, a token or an address. It never opens a window. */
export async function lock(
  url: string | undefined,
  options: LockOptions,
  host: ClientHost,
): Promise<void> {
  const target = targetOf(options)
  const seconds = options.for === undefined ? undefined : secondsOf(options.for)
  const { id, credential } = await requireSignIn(url, options, host)
  const set = await requestLock(id.server, credential, {
    ...target,
    reason: options.reason,
    seconds,
  })
  host.writeOut(
    formatted(options.output, valueOf(set), [
      ['Locked', describe(set)],
      ['Until', set.until || 'it is lifted'],
      ['Reason', set.reason],
      ['Set by', set.actor],
    ]),
  )
}

/** Lifts a lock. */
export async function unlock(
  url: string | undefined,
  options: UnlockOptions,
  host: ClientHost,
): Promise<void> {
  const target = targetOf(options)
  const { id, credential } = await requireSignIn(url, options, host)
  await requestUnlock(id.server, credential, target)
  host.writeOut(`${describe(target)} is no longer locked\n`)
}

/** Lists the locks in force. */
export async function locks(
  url: string | undefined,
  options: LocksOptions,
  host: ClientHost,
): Promise<void> {
  const { id, credential } = await requireSignIn(url, options, host)
  const all = await requestLocks(id.server, credential)
  if (options.output !== 'table') {
    host.writeOut(formatted(options.output, { locks: all.map(valueOf) }, []))
    return
  }
  const rows = all.map((one) => [
    ...[one.target, one.name, one.until || 'no end'],
    ...[one.actor || 'lock file', one.reason],
  ])
  host.writeOut(columns([['TARGET', 'NAME', 'UNTIL', 'SET BY', 'REASON'], ...rows]))
}

/** @throws ClientFailure with exit code 2 unless exactly one target is named */
function targetOf(options: TargetOptions): Target {
  const named = Object.entries(TARGET_OPTIONS).flatMap(([option, target]) => {
    const name = options[option as keyof TargetOptions]
    return name === undefined ? [] : [{ target, name }]
  })
  const [only] = named
  if (only !== undefined && named.length === 1) return only
  throw new ClientFailure(
    'usage',
    'use exactly one of --user, --group, --certificate-serial, --token-id, --address and, to unlock, --disabled-account',
  )
}

const UNITS_S: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 }

/** @throws ClientFailure with exit code 2 for anything but a duration */
function secondsOf(text: string): number {
  const parts = [...text.matchAll(/(\d{1,6})([smhd])/g)]
  const seconds = parts.reduce(
    (sum, [, n, unit]) => sum + Number(n) * (UNITS_S[unit ?? ''] ?? 0),
    0,
  )
  if (parts.map(([part]) => part).join('') === text && seconds > 0) return seconds
  throw new ClientFailure('usage', `--for ${text}: must be a duration such as 30m, 2h or 7d`)
}

function describe({ target, name }: Target): string {
  return `${target} ${name}`
}

/** As the API has it. */
function valueOf({ target, name, reason, until, actor, source }: ShownLock): object {
  return {
    ...{ [target]: name, reason },
    ...(until === '' ? {} : { until }),
    ...(actor === '' ? {} : { actor }),
    source,
  }
}
