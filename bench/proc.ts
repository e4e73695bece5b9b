/** CPU and memory of a process and its descendants, from Linux's /proc. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

let ticksPerSecond: number | undefined

/** CPU seconds (user and system) that a process and its descendants have used so far. */
export function cpuSeconds(pid: number): number {
  ticksPerSecond ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))
  let ticks = 0
  for (const each of tree(pid)) {
    // The command name, in parentheses, may contain anything; utime and stime are the 12th and 13th
    // field after it (proc_pid_stat(5)).
    const stat = readFileSync(`/proc/${each}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    ticks += Number(fields[11]) + Number(fields[12])
  }
  return ticks / ticksPerSecond
}

/** Resident memory of a process and its descendants, in KiB. */
export function residentKiB(pid: number): number {
  let sum = 0
  for (const each of tree(pid)) {
    const status = readFileSync(`/proc/${each}/status`, 'utf8')
    sum += Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0)
  }
  return sum
}

/** A process and all its descendants. Throws when the process does not exist. */
function tree(pid: number): number[] {
  const found = [pid]
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const children = readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8')
    for (const child of children.split(' ')) {
      if (child !== '') found.push(...tree(Number(child)))
    }
  }
  return found
}
