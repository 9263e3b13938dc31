// KafkaJS against a broker: modes and contract in ../README.md.
'use strict'

const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, Partitioners, logLevel } = require('kafkajs')
const crypto = require('crypto')
const lz4 = require('lz4-napi')
const { ZstdCodec } = require('zstd-codec')

// KafkaJS takes every codec but gzip from its users.
const zstd = new Promise((resolve) => ZstdCodec.run((codec) => resolve(new codec.Streaming())))
CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: (encoder) => lz4.compressFrame(encoder.buffer),
  decompress: (buffer) => lz4.decompressFrame(buffer),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from((await zstd).compress(encoder.buffer)),
  decompress: async (buffer) => Buffer.from((await zstd).decompress(buffer)),
})

const CLIENT = 'kafkajs'
const PARTITIONS = 3
const RECORDS = 40
const BASE_TIMESTAMP = 1700000000000
const FOREVER = [{ name: 'retention.ms', value: '-1' }]
const RUN = process.env.RUN || ''
const CODECS = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 }
const [mode, bootstrap, ...topics] = process.argv.slice(2)
const ALL_BYTES = Buffer.from(Array.from({ length: 256 }, (_, i) => i))

const kafka = new Kafka({ clientId: CLIENT, brokers: [bootstrap], logLevel: logLevel.NOTHING, retry: { retries: 8 } })
const named = (purpose) => `${CLIENT}-${purpose}${RUN}`

// ------------------------------------------------------------------ the contract

function record(p, i, profile) {
  const text = `key-${p}-${i}`
  if (profile === 'plain') {
    const value = i % 7 === 0 ? null : Buffer.from(`value-${p}-${i}`)
    return { key: i % 5 === 0 ? null : Buffer.from(text), value, headers: {} }
  }
  let key = { 0: null, 1: Buffer.alloc(0), 4: ALL_BYTES }[i % 5]
  if (key === undefined) key = Buffer.from(text)
  let value = { 0: null, 1: Buffer.alloc(0), 2: pattern(p, i) }[i % 7]
  if (value === undefined) value = Buffer.from(`value-${p}-${i}-é`)
  if (['keyed', 'strict'].includes(profile) && key === null && value === null) key = Buffer.from(text)
  const headers = {}
  if (i % 3 === 1) {
    headers.a = [Buffer.from('1'), Buffer.from('2')]
    headers.b = Buffer.alloc(0)
    if (!['nonull', 'strict'].includes(profile)) headers.n = null
  } else if (i % 3 === 2) {
    headers.h = ALL_BYTES
  }
  return { key, value, headers, timestamp: String(BASE_TIMESTAMP + 1000000 * p + 1000 * i) }
}

function pattern(p, i) {
  return Buffer.from(Array.from({ length: 2000 }, (_, j) => (31 * p + 7 * i + j) % 251))
}

function same(a, b) {
  if (a === null || b === null || a === undefined || b === undefined) return (a ?? null) === (b ?? null)
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((one, n) => same(one, b[n]))
  return Buffer.isBuffer(b) && a.equals(b)
}

function compare(topic, partition, found) {
  const wanted = record(partition, Number(found.offset), topic.slice(topic.lastIndexOf('-') + 1))
  const at = `${topic}/${partition}@${found.offset}`
  check(same(wanted.key, found.key), `${at} key ${found.key}`)
  check(same(wanted.value, found.value), `${at} value ${found.value}`)
  check(!wanted.timestamp || wanted.timestamp === found.timestamp, `${at} timestamp ${found.timestamp}`)
  const names = Object.keys(found.headers || {}).sort()
  check(names.join() === Object.keys(wanted.headers).sort().join(), `${at} headers ${names}`)
  for (const name of names) check(same(wanted.headers[name], found.headers[name]), `${at} header ${name}`)
}

// ------------------------------------------------------------------ small things

function check(holds, what) {
  if (!holds) throw new Error(what)
}

function within(milliseconds, what, promise) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${milliseconds} ms: ${what}`)), milliseconds)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

async function withAdmin(action) {
  const admin = kafka.admin()
  await admin.connect()
  try {
    return await action(admin)
  } finally {
    await admin.disconnect()
  }
}

async function eventually(what, holds) {
  for (let tries = 0; tries < 300; tries++) {
    if (await holds()) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error(`not within 30 s: ${what}`)
}

const create = (topic, numPartitions, configEntries = [], more = {}) =>
  withAdmin((admin) => admin.createTopics({ topics: [{ topic, numPartitions, configEntries }], ...more }))

async function send(topic, messages, options = {}, producerOptions = {}) {
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, ...producerOptions })
  await producer.connect()
  try {
    return await producer.send({ topic, messages, ...options })
  } finally {
    await producer.disconnect()
  }
}

// Reads `count` messages of topics with a group, then leaves it; `commit` is the offset to commit.
async function read(topics, count, { groupId = named(`reader-${topics[0]}`), commit } = {}) {
  const consumer = kafka.consumer({ groupId, sessionTimeout: 10000, heartbeatInterval: 1000 })
  const found = []
  await consumer.connect()
  try {
    await consumer.subscribe({ topics, fromBeginning: true })
    await within(60000, `${count} messages of ${topics}`, new Promise((resolve, reject) => {
      consumer.on(consumer.events.CRASH, (event) => reject(event.payload.error))
      consumer.run({
        autoCommit: false,
        eachMessage: async ({ topic, partition, message }) => {
          found.push({ topic, partition, ...message })
          if (found.length >= count) resolve()
        },
      }).catch(reject)
    }))
    if (commit) await consumer.commitOffsets([{ topic: topics[0], partition: 0, offset: commit }])
  } finally {
    await consumer.disconnect()
  }
  return found
}

async function failsWith(type, action) {
  try {
    await action()
  } catch (error) {
    const causes = [error, error.cause, ...(error.errors || [])].filter(Boolean)
    check(causes.some((cause) => cause.type === type), `${error} instead of ${type}`)
    return
  }
  throw new Error(`it worked, instead of failing with ${type}`)
}

const numbered = (count) => Array.from({ length: count }, (_, i) => ({ partition: 0, value: String(i) }))

// ------------------------------------------------------------------ modes

async function write(codec, topic) {
  await create(topic, PARTITIONS, FOREVER)
  const messages = []
  for (let partition = 0; partition < PARTITIONS; partition++) {
    for (let i = 0; i < RECORDS; i++) messages.push({ partition, ...record(partition, i, 'nonull') })
  }
  await send(topic, messages, { compression: CODECS[codec], acks: -1 })
}

// One consumer reads all topics: joining a group for each would take seconds each.
let everything

async function verify(topic) {
  everything = everything || read(topics, topics.length * PARTITIONS * RECORDS)
  const next = Array(PARTITIONS).fill(0)
  for (const found of (await everything).filter((message) => message.topic === topic)) {
    check(Number(found.offset) === next[found.partition]++, `${topic}/${found.partition}: offset ${found.offset}`)
    compare(topic, found.partition, found)
  }
  check(next.every((count) => count === RECORDS), `${topic}: ${next} records`)
}

const cases = {
  'admin-create': async () => {
    const topic = named('cases')
    check(await create(topic, 4, [{ name: 'retention.ms', value: '86400000' }]), 'not created')
    check(!(await create(topic, 4)), 'KafkaJS answers false for a topic that exists')
    await withAdmin(async (admin) => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      check(topics[0].partitions.length === 4, JSON.stringify(topics))
      const cluster = await admin.describeCluster()
      check(cluster.brokers.length > 0 && cluster.clusterId, JSON.stringify(cluster))
    })
  },
  'admin-create-refused': async () => {
    const invalid = [{ name: 'no.such.config', value: '1' }]
    await failsWith('INVALID_CONFIG', () => create(named('invalid'), 1, invalid))
    await failsWith('INVALID_TOPIC_EXCEPTION', () => create('a b', 1))
  },
  'admin-validate-only': async () => {
    await create(named('validated'), 1, [], { validateOnly: true, waitForLeaders: false })
    const listed = await withAdmin((admin) => admin.listTopics())
    check(!listed.includes(named('validated')), 'it was created')
  },
  'admin-describe-configs': async () => {
    const resources = [{ type: ConfigResourceTypes.TOPIC, name: named('cases') }]
    const { resources: found } = await withAdmin((admin) => admin.describeConfigs({ resources, includeSynonyms: false }))
    const value = (name) => found[0].configEntries.find((entry) => entry.configName === name)?.configValue
    check(value('retention.ms') === '86400000', value('retention.ms'))
    check(value('cleanup.policy') === 'delete', value('cleanup.policy'))
  },
  'admin-partitions-and-delete': async () => {
    const topic = named('cases')
    await withAdmin(async (admin) => {
      const count = async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length
      await admin.createPartitions({ topicPartitions: [{ topic, count: 6 }] })
      await eventually('six partitions', async () => (await count()) === 6)
      await admin.deleteTopics({ topics: [topic] })
      await eventually('the topic gone', async () => !(await admin.listTopics()).includes(topic))
    })
  },
  acks: async () => {
    const topic = named('acks')
    await create(topic, 1)
    for (const acks of [0, 1, -1]) await send(topic, numbered(10), { acks })
    const found = await read([topic], 30)
    check(found.every((message, i) => String(message.value) === String(i % 10)), 'order')
  },
  'idempotent-offsets': async () => {
    const topic = named('idempotent')
    await create(topic, 1)
    const producer = kafka.producer({ idempotent: true, createPartitioner: Partitioners.DefaultPartitioner })
    await producer.connect()
    for (let n = 0; n < 20; n++) {
      const [sent] = await producer.send({ topic, messages: numbered(5) })
      check(Number(sent.baseOffset) === 5 * n, `base offset ${sent.baseOffset} instead of ${5 * n}`)
    }
    await producer.disconnect()
  },
  offsets: async () => {
    const topic = named('offsets')
    await create(topic, 1, FOREVER)
    for (let i = 0; i < 5; i++) await send(topic, [{ value: 'x', timestamp: String(BASE_TIMESTAMP + 1000 * i) }])
    await withAdmin(async (admin) => {
      const [ends] = await admin.fetchTopicOffsets(topic)
      check(ends.low === '0' && ends.high === '5', JSON.stringify(ends))
      const [found] = await admin.fetchTopicOffsetsByTimestamp(topic, BASE_TIMESTAMP + 1500)
      check(found.offset === '2', JSON.stringify(found))
    })
  },
  'group-commit-and-resume': async () => {
    const topic = named('group')
    const groupId = named('resumed')
    await create(topic, 1)
    await send(topic, numbered(20))
    await read([topic], 20, { groupId, commit: '10' })
    const [first] = await read([topic], 10, { groupId })
    check(String(first.value) === '10', `resumed at ${first.value}`)
    const [committed] = await withAdmin((admin) => admin.fetchOffsets({ groupId, topics: [topic] }))
    check(committed.partitions[0].offset === '10', JSON.stringify(committed))
  },
  transactions: async () => {
    const [topic, groupId] = [named('txn'), named('txn-group')]
    await create(topic, 1)
    const options = { transactionalId: topic, maxInFlightRequests: 1, idempotent: true, createPartitioner: Partitioners.DefaultPartitioner }
    const producer = kafka.producer(options)
    await producer.connect()
    for (let round = 0; round < 6; round++) {
      const transaction = await producer.transaction()
      await transaction.send({ topic, messages: [{ value: String(round), partition: 0 }] })
      const partitions = [{ partition: 0, offset: String(10 + round) }]
      await transaction.sendOffsets({ consumerGroupId: groupId, topics: [{ topic, partitions }] })
      await (round % 2 === 0 ? transaction.commit() : transaction.abort())
    }
    const left = await producer.transaction()
    await left.send({ topic, messages: [{ value: 'zombie', partition: 0 }] })
    const successor = kafka.producer(options)
    await successor.connect()
    const next = await successor.transaction()
    await next.send({ topic, messages: [{ value: 'last', partition: 0 }] })
    await failsWith('INVALID_PRODUCER_EPOCH', () => left.commit())
    await next.commit()
    await producer.disconnect()
    await successor.disconnect()
    const [committed] = await withAdmin((admin) => admin.fetchOffsets({ groupId, topics: [topic] }))
    check(committed.partitions[0].offset === '14', JSON.stringify(committed))
    const found = (await read([topic], 4)).map((message) => String(message.value))
    check(found.join() === '0,2,4,last', found.join())
  },
  'message-too-large': async () => {
    const topic = named('large')
    await create(topic, 1, [{ name: 'max.message.bytes', value: '10000' }])
    await send(topic, [{ value: crypto.randomBytes(9000) }])
    await failsWith('MESSAGE_TOO_LARGE', () => send(topic, [{ value: crypto.randomBytes(10001) }]))
  },
}

async function main() {
  let todo = Object.entries(cases)
  if (mode === 'write') {
    const pairs = Object.keys(CODECS).map((codec) => [codec, `xc${RUN}-${CLIENT}-${codec}-nonull`])
    todo = pairs.map(([codec, topic]) => [`write ${topic}`, () => write(codec, topic)])
  } else if (mode === 'verify') {
    todo = topics.map((topic) => [`verify ${topic}`, () => verify(topic)])
  }
  let failed = 0
  for (const [name, run] of todo) {
    try {
      await within(120000, name, run())
      console.log(`ok ${name}`)
    } catch (error) {
      failed++
      console.log(`FAIL ${name}: ${String(error).replaceAll('\n', ' ')}`)
      console.error(error)
    }
  }
  process.exit(failed ? 1 : 0)
}

main()
