/**
 * The few administrative calls source and sink need: creating topics that are missing, and pinning where a new
 * group begins. What the broker does not allow is left: reading or publishing then says what is wrong.
 */
import type { Admin, Kafka } from 'kafkajs';
import { fromKafka } from './client.ts';

async function withAdmin<T>(kafka: Kafka, work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = kafka.admin();
  try {
    await admin.connect();
    return await work(admin);
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
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

/**
 * Commits the end of each partition for a group that has no position yet. Only then "start at the newest" means
 * the moment of the first start: kafkajs would look for the end again at each join before the first commit, and
 * would jump to the end when old data has been deleted, and skip messages both times.
 */
export async function pinNewest(kafka: Kafka, group: string, topics: readonly string[]): Promise<void> {
  try {
    await withAdmin(kafka, async (admin) => {
      const committed = await admin.fetchOffsets({ groupId: group, topics: [...topics] });
      for (const { topic, partitions } of committed) {
        if (partitions.some(({ offset }) => offset !== '-1')) continue;
        const ends = await admin.fetchTopicOffsets(topic);
        const pinned = ends.map(({ partition, high }) => ({ partition, offset: high }));
        await admin.setOffsets({ groupId: group, topic, partitions: pinned });
      }
    });
  } catch (error) {
    throw fromKafka(error, 'BROKER_UNREACHABLE');
  }
}
