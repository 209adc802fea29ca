import { existsSync } from 'node:fs';

/** Where systems put the software Vulkan driver that comes with Chromium. */
const drivers = ['/usr/lib/chromium/vk_swiftshader_icd.json', '/usr/lib/chromium-browser/vk_swiftshader_icd.json'];

/** The environment in which WebGPU runs on the processor; undefined where there is no driver for it. */
export function softwareGpu(): NodeJS.ProcessEnv | undefined {
  const driver = drivers.find((file) => existsSync(file));
  return driver === undefined ? undefined : { ...process.env, VK_ICD_FILENAMES: driver, VK_DRIVER_FILES: driver };
}

/** Why tests that need it are skipped. */
export const noSoftwareGpu = "SwiftShader is not installed: it comes with Debian's package chromium";
