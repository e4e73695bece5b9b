/** Finds deny rules behind allow rules, which read as if the order of rules mattered. */
import type { AccessRule } from '../schema.ts'
import { likely, type Finding } from './finding.ts'

/** One finding for the file, at the first such rule. */
export function findOrder(rules: readonly AccessRule[]): Finding[] {
  const allow = rules.findIndex(({ effect }) => effect === 'allow')
  const behind = rules
    .map(({ effect, name }, position) => ({ effect, name, position }))
    .filter(({ effect, position }) => effect === 'deny' && allow !== -1 && position > allow)
  const [first] = behind
  if (first === undefined) return []
  const name = JSON.stringify(first.name)
  const others = behind.length === 1 ? '' : ` (and ${behind.length - 1} more)`
  return [
    {
      ...likely(
        `the deny rule ${name}${others} is behind an allow rule: order does not matter, and a file that is cut off loses its end first`,
        'move deny rules before allow rules',
      ),
      path: ['rules', first.position],
    },
  ]
}
