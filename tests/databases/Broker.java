import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.zip.CRC32;
import kafka.server.KafkaConfig;
import kafka.server.KafkaRaftServer;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.common.utils.Time;

/** Kafka as one node that is broker and controller (KRaft), its log on the volume; producer and consumer beside it. */
final class Broker {
    private static final String CLUSTER = "bWFraW5nLXN1cmUtaXQtaQ";
    private static final int RECORDS = 2000;

    private Broker() {
    }

    private interface Act {
        void with(Map<String, Object> settings) throws Exception;
    }

    private static void run(Path directory, Act act) throws Exception {
        Path file = directory.resolve("kafka.properties");
        Properties properties = new Properties();
        properties.putAll(Map.of("process.roles", "broker,controller", "node.id", "1",
                "controller.quorum.voters", "1@127.0.0.1:9093", "controller.listener.names", "CONTROLLER",
                "listeners", "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093",
                "log.dirs", directory.resolve("kafka").toString(), "offsets.topic.replication.factor", "1",
                "offsets.topic.num.partitions", "1", "log.flush.interval.messages", "100"));
        properties.put("log.segment.bytes", "65536");
        properties.put("group.initial.rebalance.delay.ms", "0");
        if (!Files.exists(file)) {
            try (var out = Files.newBufferedWriter(file)) {
                properties.store(out, null);
            }
            var quiet = new java.io.PrintStream(java.io.OutputStream.nullOutputStream());
            String[] words = {"format", "-t", CLUSTER, "-c", file.toString()};
            if (kafka.tools.StorageTool.execute(words, quiet) != 0) {
                throw new IllegalStateException("kafka-storage format failed");
            }
        }
        KafkaRaftServer server = new KafkaRaftServer(KafkaConfig.fromProps(properties), Time.SYSTEM);
        server.startup();
        act.with(Map.of("bootstrap.servers", "127.0.0.1:9092", "request.timeout.ms", 120_000,
                "default.api.timeout.ms", 240_000, "delivery.timeout.ms", 300_000));
        server.shutdown();
        server.awaitShutdown();
    }

    static void write(Path directory) throws Exception {
        run(directory, settings -> {
            try (Admin admin = Admin.create(settings)) {
                admin.createTopics(List.of(new NewTopic("load", 2, (short) 1))).all().get();
            }
            try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
                for (int i = 0; i < RECORDS; i++) {
                    producer.send(new ProducerRecord<>("load", i % 2, "k" + i, "value " + i * 31L));
                }
                producer.flush();
            }
            System.out.println("sent " + RECORDS);
        });
    }

    static void check(Path directory) throws Exception {
        run(directory, settings -> {
            List<TopicPartition> parts = List.of(new TopicPartition("load", 0), new TopicPartition("load", 1));
            long[] sums = new long[2];
            int count = 0;
            try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
                consumer.assign(parts);
                consumer.seekToBeginning(parts);
                for (int empty = 0; count < RECORDS && empty < 60;) {
                    ConsumerRecords<String, String> records = consumer.poll(Duration.ofSeconds(2));
                    empty = records.isEmpty() ? empty + 1 : 0;
                    for (ConsumerRecord<String, String> record : records) {
                        CRC32 sum = new CRC32();
                        sum.update((record.offset() + record.key() + record.value()).getBytes());
                        sums[record.partition()] += sum.getValue();
                        count++;
                    }
                }
            }
            System.out.printf("%d records, sums %x %x%n", count, sums[0], sums[1]);
        });
    }
}
