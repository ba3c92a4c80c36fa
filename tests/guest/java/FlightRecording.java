import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import jdk.jfr.Configuration;
import jdk.jfr.EventType;
import jdk.jfr.FlightRecorder;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;

/** Records itself to a file while it computes, reads the file, and says which events are in it. */
public class FlightRecording {
    static final String[] EXPECTED = {
        "jdk.ActiveRecording", "jdk.ActiveSetting", "jdk.BooleanFlag", "jdk.CPUInformation", "jdk.CPULoad", "jdk.ClassLoadingStatistics",
        "jdk.ExecutionSample", "jdk.GCConfiguration", "jdk.GCHeapSummary", "jdk.GarbageCollection", "jdk.InitialEnvironmentVariable",
        "jdk.InitialSystemProperty", "jdk.JVMInformation", "jdk.JavaThreadStatistics", "jdk.NativeLibrary", "jdk.OSInformation",
        "jdk.PhysicalMemory", "jdk.ThreadAllocationStatistics", "jdk.ThreadEnd", "jdk.ThreadStart",
    };
    static volatile long sink;

    static void burn(long milliseconds) {
        long end = System.nanoTime() + milliseconds * 1_000_000;
        long x = 1;
        while (System.nanoTime() < end) {
            for (int i = 0; i < 10_000; i++) {
                x = x * 6364136223846793005L + 1442695040888963407L;
            }
        }
        sink = x;
    }

    /** Counts by event type; samples of [burn] apart. */
    static Map<String, Integer> record(String sampler) throws Exception {
        Path file = Path.of("/tmp/flight.jfr");
        try (Recording recording = new Recording(Configuration.getConfiguration("profile"))) {
            recording.enable("jdk.ExecutionSample").withPeriod(Duration.ofMillis(10));
            // Their period is as long as this recording or longer: whether one falls into it would be chance.
            for (String periodic : List.of("jdk.CPULoad", "jdk.ClassLoadingStatistics", "jdk.JavaThreadStatistics")) {
                recording.enable(periodic).withPeriod(Duration.ofMillis(100));
            }
            if (sampler.equals("jdk.CPUTimeSample")) {
                recording.enable(sampler).with("throttle", "10ms");
            }
            recording.start();
            Thread thread = new Thread(() -> burn(300), "burner");
            thread.start();
            burn(700);
            thread.join();
            System.gc();
            recording.stop();
            recording.dump(file);
        }
        Map<String, Integer> counts = new TreeMap<>();
        List<RecordedEvent> events = RecordingFile.readAllEvents(file);
        for (RecordedEvent event : events) {
            String name = event.getEventType().getName();
            counts.merge(name, 1, Integer::sum);
            boolean isSample = name.equals(sampler) && event.getStackTrace() != null;
            if (isSample && event.getStackTrace().getFrames().stream().anyMatch(frame -> frame.getMethod().getName().equals("burn"))) {
                counts.merge("burn", 1, Integer::sum);
            }
        }
        Files.delete(file);
        return counts;
    }

    public static void main(String[] args) throws Exception {
        List<String> samplers = new ArrayList<>(List.of("jdk.ExecutionSample"));
        for (EventType type : FlightRecorder.getFlightRecorder().getEventTypes()) {
            if (type.getName().equals("jdk.CPUTimeSample")) {
                samplers.add(type.getName());
            }
        }
        for (String sampler : samplers) {
            // A machine that is starved for a second is no error: the sampler gets more tries, the rest is in each of them.
            Map<String, Integer> counts = record(sampler);
            for (int tries = 1; tries < 10 && !counts.containsKey("burn"); tries++) {
                counts = record(sampler);
            }
            for (String name : EXPECTED) {
                System.out.println(name + " " + counts.containsKey(name));
            }
            System.out.println(sampler + " of the busy method: " + counts.containsKey("burn"));
        }
    }
}
