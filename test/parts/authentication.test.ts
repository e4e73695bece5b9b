/** Compares with kube-apiserver's own code, with new random expressions, configurations and tokens in each run. */
import { beforeAll, expect, test } from 'vitest'
import { goIsSufficient } from '../../dev/parts/go-build.ts'
import { goProgram } from '../../dev/parts/go-program.ts'
import { OLDEST_GO } from '../../dev/parts/versions.ts'
import { createEnvironment } from '../../src/cel/environment.ts'
import { formatType } from '../../src/cel/types.ts'
import { documentCases } from '../authentication/oidc/configuration-corpus.ts'
import {
  byDocument,
  documentDifference,
  fieldsOf,
  groupsPrefix,
  tokenDifference,
  tokenJudge,
} from '../authentication/oidc/kubernetes.ts'
import { tokenCases } from '../authentication/oidc/token-corpus.ts'
import { overloadExpressions } from '../cel/overload-expressions.ts'
import { randomExpressions } from '../cel/random-expressions.ts'
import { urlExpressions, versionExpressions } from '../cel/random-texts.ts'
import { gatehouseReading, isSameReading, questionOf, readingOf } from '../cel/vectors.ts'
import { askKubernetes } from '../support/kubernetes-authentication.ts'

const hasGo = await goIsSufficient()
if (!hasGo) {
  process.stderr.write(
    `SKIPPED, not tested: AuthenticationConfiguration against kube-apiserver's code. Install Go ${OLDEST_GO} or newer (https://go.dev/dl).\n`,
  )
}

// On a new machine, the build takes minutes.
beforeAll(async () => {
  if (hasGo) await goProgram('authentication')
})

/** Forms of operators that no expression can name, and one that the checker knows by itself. */
const OTHER_FORMS = new Set(['in', '_in_', '__not_strictly_false__', '_?._'])

test.skipIf(!hasGo)(
  'every function of kube-apiserver is known, with all its overloads',
  async () => {
    const [verdict] = await askKubernetes([{ functions: true }])
    const { functions } = createEnvironment({})
    const missing = Object.entries(verdict!.functions!).flatMap(([name, signatures]) => {
      const known = (functions.get(name) ?? []).map(({ isMember, parameters, result }) => {
        const types = parameters.map(formatType).join(', ')
        return `${isMember ? '.' : ''}${types} -> ${formatType(result)}`
      })
      return signatures.filter((one) => !known.includes(one)).map((one) => `${name}: ${one}`)
    })
    expect(missing.filter((text) => !OTHER_FORMS.has(text.split(':')[0]!))).toEqual([])
  },
)

const newSeed = () => Math.floor(Math.random() * 2 ** 31)

test.skipIf(!hasGo)('an expression has the value that it has in kube-apiserver', async () => {
  const seed = newSeed()
  const expressions = randomExpressions(seed, 20_000)
  const verdicts = await askKubernetes(expressions.map(questionOf))
  const different = expressions.flatMap((expression, i) => {
    const theirs = readingOf(verdicts[i]!)
    if (isSameReading(expression, theirs)) return []
    return [{ expression, theirs, ours: gatehouseReading(expression) }]
  })
  expect(different, `seed ${seed}`).toEqual([])
  const valued = verdicts.filter(({ value }) => value !== undefined)
  expect(valued.length).toBeGreaterThan(expressions.length / 3)
})

/**
 * What kube-apiserver evaluates and Gatehouse refuses: a type in the place of a string, an optional in that of
 * an int, and a negative duration, where the checker does not know the types. The rest of a call that is not
 * supported is not looked at.
 */
const STRICTER =
  /\bdyn\(.*\.(?:matches|find|findAll)\(|^matches\(dyn\(|findAll\(.*optional\.of|^-dyn\(/
const { functions } = createEnvironment({})
const UNSUPPORTED = [...functions].flatMap(([name, overloads]) =>
  overloads.some(({ implementation }) => implementation === undefined) ? [name] : [],
)

test.skipIf(!hasGo)(
  'a call is evaluated as in kube-apiserver, whatever is in the place of an argument',
  async () => {
    const calls = overloadExpressions(functions)
    const verdicts = await askKubernetes(calls.map(questionOf))
    const different = calls.flatMap((expression, i) => {
      const theirs = readingOf(verdicts[i]!)
      const ours = gatehouseReading(expression)
      if (isSameReading(expression, theirs)) return []
      if (ours.refused === true && STRICTER.test(expression)) return []
      const isUnsupported = UNSUPPORTED.some((name) => expression.includes(`${name}(`))
      return ours.invalid === true && isUnsupported ? [] : [{ expression, theirs, ours }]
    })
    expect(different).toEqual([])
    expect(calls.length).toBeGreaterThan(15_000)
  },
)

test.skipIf(!hasGo)('a URL and a version are read as by kube-apiserver', async () => {
  const seed = newSeed()
  const expressions = [...urlExpressions(seed, 4_000), ...versionExpressions(seed, 2_000)]
  const verdicts = await askKubernetes(expressions.map(questionOf))
  const different = expressions.flatMap((expression, i) => {
    const theirs = readingOf(verdicts[i]!)
    if (isSameReading(expression, theirs)) return []
    const ours = gatehouseReading(expression)
    // Parts that are not UTF-8 are refused; kube-apiserver goes on with them.
    return ours.refused === true && expression.includes('%ff') ? [] : [{ expression, theirs, ours }]
  })
  expect(different, `seed ${seed}`).toEqual([])
  const valued = verdicts.filter(({ value }) => value !== undefined && value !== 'false')
  expect(valued.length).toBeGreaterThan(2_000)
})

test.skipIf(!hasGo)('a configuration is accepted or refused as by kube-apiserver', async () => {
  const seed = newSeed()
  const cases = documentCases(seed, 1_000)
  const verdicts = await askKubernetes(cases.map(({ document }) => ({ document })))
  const different = cases.flatMap((one, i) => {
    const why = documentDifference(one, fieldsOf(verdicts[i]!))
    return why === undefined ? [] : [{ document: one.document, why }]
  })
  expect(different, `seed ${seed}`).toEqual([])
})

test.skipIf(!hasGo)('a token is refused, or gives the user, as by kube-apiserver', async () => {
  const seed = newSeed()
  const cases = tokenCases(seed, 5_000)
  const vectors = byDocument(cases, await askKubernetes(cases))
  const different = vectors.flatMap(([document, ...tokens]) => {
    const judge = tokenJudge(document)
    return tokens.flatMap(([payload, theirs]) => {
      const why = tokenDifference(judge(payload), theirs, groupsPrefix(document))
      return why === undefined ? [] : [{ document, payload, why }]
    })
  })
  expect(different, `seed ${seed}`).toEqual([])
})
