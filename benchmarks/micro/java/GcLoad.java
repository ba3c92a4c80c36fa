import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Random;

/**
 * The load of GcStress: four threads keep some 1,100 arrays of up to 20,000 bytes each alive and make a 2 MiB array now and
 * then. GcLoad seconds SECONDS prints the arrays a second; GcLoad arrays COUNT the nanoseconds that an array took.
 */
public class GcLoad {
    static volatile Object sink;

    public static void main(String[] args) throws Exception {
        boolean isTimed = args[0].equals("seconds");
        long amount = Long.parseLong(args[1]);
        Thread[] threads = new Thread[4];
        long[] made = new long[threads.length];
        long start = System.nanoTime();
        long end = isTimed ? start + amount * 1_000_000_000L : Long.MAX_VALUE;
        long most = isTimed ? Long.MAX_VALUE : amount / threads.length;
        for (int t = 0; t < threads.length; t++) {
            int id = t;
            threads[t] = new Thread(() -> {
                ArrayDeque<byte[]> live = new ArrayDeque<>();
                Random random = new Random(id);
                while (System.nanoTime() < end && made[id] < most) {
                    live.add(new byte[random.nextInt(20000)]);
                    if (live.size() > 1500) for (int i = 0; i < 700; i++) live.poll();
                    if (random.nextInt(2000) == 0) sink = new byte[2 << 20];
                    made[id]++;
                }
            });
            threads[t].start();
        }
        for (Thread thread : threads) thread.join();
        long nanoseconds = System.nanoTime() - start;
        long arrays = Arrays.stream(made).sum();
        System.out.println("micro gc " + (isTimed ? arrays * 1e9 / nanoseconds : (double) nanoseconds / arrays) + " 0");
        System.out.println("micro end");
    }
}
