import { spawn } from 'node:child_process'

import type { ClientHost } from './host.ts'

/**
 * The program that opens a URL in the user's browser; undefined where there is none: over SSH, in a
 * container, on a console.
 */
export function browserCommand({
  env,
  platform,
}: Pick<ClientHost, 'env' | 'platform'>): readonly string[] | undefined {
  const { BROWSER: browser = '', DISPLAY: x11 = '', WAYLAND_DISPLAY: wayland = '' } = env
  // A list of commands by the convention of xdg-utils; the first one is used.
  const [named = ''] = browser.split(':')
  if (named !== '') return named.split(' ').filter((word) => word !== '' && word !== '%s')
  if (platform === 'darwin') return ['open']
  if (platform === 'win32') return ['rundll32', 'url.dll,FileProtocolHandler']
  if (env['WSL_DISTRO_NAME'] !== undefined) return ['rundll32.exe', 'url.dll,FileProtocolHandler']
  return x11 === '' && wayland === '' ? undefined : ['xdg-open']
}

/** Opens an https URL. Resolves with false when the program cannot be started or fails at once. */
export async function openBrowser(command: readonly string[], url: URL): Promise<boolean> {
  // The URL comes from a server, and the desktop would start a program for many other schemes.
  if (url.protocol !== 'https:') return false
  const [program = '', ...args] = command
  const child = spawn(program, [...args, url.href], { stdio: 'ignore', detached: true })
  child.unref()
  return new Promise((resolve) => {
    child.once('error', () => resolve(false))
    // Programs that stay in the foreground have succeeded so far.
    setTimeout(() => resolve(true), STARTED_MS).unref()
    child.once('exit', (code) => resolve(code === 0))
  })
}

const STARTED_MS = 2_000
