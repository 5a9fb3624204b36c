/**
 * The few administrative calls source and sink need: creating topics that are missing, and pinning where a new
 * group begins. What the broker does not allow is left: reading or publishing then says what is wrong.
 */
import type { Admin, Kafka } from 'kafkajs';
import { Certificates } from './certificates.ts';
import { fromKafka, KafkaClient } from './client.ts';
import type { ConnectionOptions } from './options.ts';

async function withAdmin<T>(kafka: Kafka, work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = kafka.admin();
  try {
    await admin.connect();
    return await work(admin);
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}

/** For a single administrative call. */
async function asAdmin<T>(
  options: ConnectionOptions,
  site: string,
  work: (admin: Admin) => Promise<T>,
): Promise<T> {
  const certificates = options.tls === false ? null : new Certificates(options.tls);
  const client = new KafkaClient(options, site, certificates, () => undefined);
  try {
    return await withAdmin(client.kafka, work);
  } catch (error) {
    throw fromKafka(error, 'BROKER_UNREACHABLE');
  }
}

/** The names of all topics that this user may see. Throws BROKER_UNREACHABLE, BROKER_AUTH. */
export async function listTopics(options: ConnectionOptions, site: string): Promise<Set<string>> {
  return new Set(await asAdmin(options, site, (admin) => admin.listTopics()));
}

/** Creates a topic that keeps the last value of each key, with one partition, where it does not exist. Throws BROKER_*. */
export async function createCompacted(
  options: ConnectionOptions,
  site: string,
  topic: string,
): Promise<void> {
  await asAdmin(options, site, async (admin) => {
    if ((await admin.listTopics()).includes(topic)) return;
    const configEntries = [{ name: 'cleanup.policy', value: 'compact' }];
    await admin.createTopics({ topics: [{ topic, numPartitions: 1, configEntries }], waitForLeaders: true });
  });
}

/** Removes the positions of a group that is not used again. Never rejects: the broker forgets it by itself, later. */
export async function deleteGroup(options: ConnectionOptions, site: string, group: string): Promise<void> {
  await asAdmin(options, site, (admin) => admin.deleteGroups([group])).catch(() => undefined);
}

/** Creates those of `topics` that do not exist, with the broker's default partitions and replication. */
export async function createMissing(kafka: Kafka, topics: readonly string[]): Promise<void> {
  try {
    await withAdmin(kafka, async (admin) => {
      const known = new Set(await admin.listTopics());
      const missing = topics.filter((topic) => !known.has(topic));
      if (missing.length === 0) return;
      // Waiting for leaders would hang where metadata may not be read; the first use waits for them anyway.
      await admin.createTopics({ topics: missing.map((topic) => ({ topic })), waitForLeaders: false });
    });
  } catch (error) {
    const known = fromKafka(error, 'BROKER_REFUSED');
    if (known.code === 'BROKER_UNREACHABLE') throw known;
  }
}

interface Ends {
  readonly topic: string;
  readonly partitions: readonly { readonly partition: number; readonly offset: string }[];
}

/**
 * Commits the end of each partition for a group that has no position yet. Only then "start at the newest" means
 * the moment of the first start: kafkajs would look for the end again at each join before the first commit, and
 * would jump to the end when old data has been deleted, and skip messages both times.
 */
export async function pinNewest(kafka: Kafka, group: string, topics: readonly string[]): Promise<void> {
  try {
    const ends = await withAdmin(kafka, async (admin) => {
      const committed = await admin.fetchOffsets({ groupId: group, topics: [...topics] });
      const fresh = committed.filter(({ partitions }) => partitions.every(({ offset }) => offset === '-1'));
      return Promise.all(fresh.map(({ topic }) => endsOf(admin, topic)));
    });
    if (ends.length > 0) await commitAs(kafka, group, ends);
  } catch (error) {
    throw fromKafka(error, 'BROKER_UNREACHABLE');
  }
}

/** The oldest offset that a partition still has, as of now. Throws BROKER_*. */
export async function oldestOf(kafka: Kafka, topic: string, partition: number): Promise<number> {
  try {
    const offsets = await withAdmin(kafka, (admin) => admin.fetchTopicOffsets(topic));
    return Number(offsets.find((each) => each.partition === partition)?.low ?? 0);
  } catch (error) {
    throw fromKafka(error, 'BROKER_UNREACHABLE');
  }
}

async function endsOf(admin: Admin, topic: string): Promise<Ends> {
  const ends = await admin.fetchTopicOffsets(topic);
  return { topic, partitions: ends.map(({ partition, high }) => ({ partition, offset: high })) };
}

/** How long the broker may hold the fetches of a member that is there to commit only. */
const FETCH_WAIT_MS = 50;

/**
 * Joins the group once and commits for all topics. Not `admin.setOffsets`: it joins once a topic, and each time waits
 * for a fetch, which an idle topic answers after 5 s.
 */
async function commitAs(kafka: Kafka, group: string, ends: readonly Ends[]): Promise<void> {
  const consumer = kafka.consumer({
    groupId: group,
    allowAutoTopicCreation: false,
    maxWaitTimeInMs: FETCH_WAIT_MS,
    maxBytes: 1,
    retry: { retries: 4, restartOnFailure: async () => false },
  });
  try {
    await consumer.connect();
    await consumer.subscribe({ topics: ends.map(({ topic }) => topic), fromBeginning: true });
    const joined = new Promise<void>((resolve, reject) => {
      consumer.on(consumer.events.GROUP_JOIN, () => resolve());
      consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
    });
    joined.catch(() => undefined);
    // What is fetched meanwhile is neither resolved nor committed: its reader gets it.
    await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch: async () => undefined });
    await joined;
    await consumer.commitOffsets(
      ends.flatMap(({ topic, partitions }) => partitions.map((each) => ({ topic, ...each }))),
    );
  } finally {
    await consumer.disconnect().catch(() => undefined);
  }
}
