import { join } from 'node:path'

import type { ClientHost } from '../host.ts'

/** Where sign-ins are cached: `XDG_CACHE_HOME`, on Windows `LOCALAPPDATA`, or `~/.cache`. */
export function sessionDirectory({ env, platform, home }: ClientHost): string {
  const { XDG_CACHE_HOME: xdg, LOCALAPPDATA: local } = env
  // An entry that is not absolute is to be ignored (XDG Base Directory Specification).
  const named = platform === 'win32' ? local : xdg?.startsWith('/') === true ? xdg : undefined
  return join(named ?? join(home(), '.cache'), 'gatehouse', 'sign-in')
}
