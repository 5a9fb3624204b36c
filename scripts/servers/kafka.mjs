/**
 * Gets a real Apache Kafka for the tests, without docker: the broker's jars from Maven Central into
 * `.cache/`, once. Promises a class path and a Java, or says in words what is missing and which command
 * installs it. Installs nothing outside the repository. Plain JavaScript: it runs before anything is built.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export const KAFKA_VERSION = '4.3.1';
const SLF4J_VERSION = '1.7.36';
const MIN_JAVA = 17;

/** The repository's root: the nearest folder upwards with a package.json (this file also runs compiled). */
export function repositoryRoot(from = import.meta.dirname) {
  let folder = from;
  while (!existsSync(path.join(folder, 'package-lock.json'))) {
    const up = path.dirname(folder);
    if (up === folder) throw new Error(`no package-lock.json above ${from}`);
    folder = up;
  }
  return folder;
}

const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>dev.sluice.test</groupId><artifactId>kafka-broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${KAFKA_VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>${SLF4J_VERSION}</version></dependency>
  </dependencies>
</project>
`;

/** The major version of the `java` that would run, or 0. */
async function javaVersion(java) {
  try {
    const { stderr, stdout } = await run(java, ['-version']);
    return Number(/version "(\d+)/.exec(stderr + stdout)?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** Downloads into a folder of its own and renames it: two processes at once do no harm, half a download never counts. */
async function download(target) {
  await mkdir(path.dirname(target), { recursive: true });
  const work = await mkdtemp(`${target}.part-`);
  try {
    await writeFile(path.join(work, 'pom.xml'), pom);
    const libs = path.join(work, 'libs');
    const args = [
      '-B',
      '-q',
      'dependency:copy-dependencies',
      '-DincludeScope=runtime',
      `-DoutputDirectory=${libs}`,
    ];
    await run('mvn', args, { cwd: work, maxBuffer: 1 << 26, timeout: 300_000 });
    await rename(libs, target).catch(async (error) => {
      if (!existsSync(target)) throw error;
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/**
 * @returns {Promise<{classpath: string, java: string} | {missing: string}>} `missing` is a sentence with the
 * command that mends it.
 */
export async function ensureKafka() {
  const java = process.env.JAVA_HOME ? path.join(process.env.JAVA_HOME, 'bin', 'java') : 'java';
  const found = await javaVersion(java);
  if (found < MIN_JAVA) {
    const what = found ? `Java ${found} is too old for Kafka ${KAFKA_VERSION}` : 'Java is missing';
    return { missing: `${what}: apt-get install -y openjdk-17-jre-headless` };
  }
  const libs = path.join(repositoryRoot(), '.cache', `kafka-${KAFKA_VERSION}`);
  if (!existsSync(libs)) {
    try {
      await download(libs);
    } catch (error) {
      if (error.code === 'ENOENT') return { missing: 'Maven is missing: apt-get install -y maven' };
      const text = String(error.stdout || error.stderr || error.message)
        .trim()
        .split('\n')[0];
      return { missing: `Kafka ${KAFKA_VERSION} could not be downloaded with mvn: ${text}` };
    }
  }
  const jars = (await readdir(libs)).filter((name) => name.endsWith('.jar'));
  return { classpath: jars.map((name) => path.join(libs, name)).join(path.delimiter), java };
}
