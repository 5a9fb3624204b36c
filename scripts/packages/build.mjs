/** Compiles the addon of one platform into `.cache/packages/<target>/`, and holds it to what packages promise. */
import path from 'node:path';
import { root, step } from '../terminal.mjs';
import { assertPortable } from './elf.mjs';
import { compilersFor } from './zig.mjs';

const NAPI = /^(napi_register_module_v1|node_api_module_get_api_version_v1)$/;

/** The folder of a target's build, with `Release/sluice.node` in it. */
export const outputOf = (target) => path.join(root, '.cache', 'packages', target.name);

export async function buildAddon(target) {
  const { cc, cxx, env } = await compilersFor(target);
  const out = outputOf(target);
  const foreign = target.arch !== process.arch;
  const args = [
    'compile',
    '--out',
    out,
    '-a',
    target.arch,
    `--CDCMAKE_C_COMPILER=${cc}`,
    `--CDCMAKE_CXX_COMPILER=${cxx}`,
  ];
  if (foreign) args.push('--CDCMAKE_SYSTEM_NAME=Linux', `--CDCMAKE_SYSTEM_PROCESSOR=${target.processor}`);
  const cmakeJs = path.join(root, 'node_modules', '.bin', 'cmake-js');
  const { name } = target;
  await step(`addon-${name}`, `building the addon for ${name}`, `addon for ${name} built`, cmakeJs, args, {
    env,
  });
  const addon = path.join(out, 'Release', 'sluice.node');
  return { addon, asks: assertPortable(addon, target, NAPI) };
}
