import eslint from '@eslint/js'
import vitest from '@vitest/eslint-plugin'
import tseslint from 'typescript-eslint'

import { mayImport, openToAll, selfContained } from './eslint.imports.ts'

/** Rules that report imports which `mayImport` does not list, for files at each depth below src/. */
const boundaries = Object.entries(mayImport).flatMap(([folder, allowed]) => {
  const names = selfContained.includes(folder) ? allowed : [...openToAll, ...allowed]
  const exceptions = names.length === 0 ? '' : `(?!\\.\\./|(${names.join('|')})[/.])`
  const rule = (up) => ({
    'no-restricted-imports': [
      'error',
      {
        patterns: [
          {
            regex: `^${up}${exceptions}`,
            message: `src/${folder} may import only: ${names.join(', ') || 'its own files'}`,
          },
        ],
      },
    ],
  })
  return [
    { files: [`src/${folder}/*.ts`], rules: rule('\\.\\./') },
    { files: [`src/${folder}/*/*.ts`], rules: rule('\\.\\./\\.\\./') },
  ]
})

export default tseslint.config(
  { ignores: ['dist', 'coverage', 'certs-dev/generated', '.gatehouse', 'config/schema'] },
  eslint.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/strict-boolean-expressions': 'error',
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: 'only-allowed-literals' },
      ],
      complexity: ['error', 12],
      'no-console': 'error',
      'no-restricted-properties': ['error', { object: 'process', property: 'env' }],
      eqeqeq: 'error',
    },
  },
  {
    files: [
      'src/main.ts',
      'src/start.ts',
      'src/config/**',
      'dev/**',
      'bench/**',
      'test/**',
      'certs-dev/**',
    ],
    rules: { 'no-restricted-properties': 'off' },
  },
  { files: ['dev/**', 'bench/**', 'certs-dev/**'], rules: { 'no-console': 'off' } },
  ...boundaries,
  {
    files: ['test/**/*.ts'],
    plugins: { vitest },
    rules: {
      ...vitest.configs.recommended.rules,
      'vitest/expect-expect': [
        'error',
        { assertFunctionNames: ['expect', 'expect*', 'fc.assert'] },
      ],
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
)
