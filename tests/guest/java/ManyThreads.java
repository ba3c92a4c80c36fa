import java.util.concurrent.CountDownLatch;

/**
 * Platform threads by the thousand. Arguments: how many are parked at the same time; how many are started and joined, 100 at a
 * time, afterwards. Says how many of each came to their ends.
 */
public class ManyThreads {
    static volatile long work;

    public static void main(String[] args) throws Exception {
        park(Integer.parseInt(args[0]));
        churn(Integer.parseInt(args[1]));
    }

    static void park(int count) throws Exception {
        CountDownLatch parked = new CountDownLatch(count);
        CountDownLatch release = new CountDownLatch(1);
        Thread[] threads = new Thread[count];
        for (int i = 0; i < count; i++) {
            threads[i] = new Thread(() -> {
                parked.countDown();
                try {
                    release.await();
                } catch (InterruptedException e) {
                    throw new AssertionError(e);
                }
            });
            threads[i].start();
        }
        parked.await();
        System.out.println(count + " are parked");
        release.countDown();
        for (Thread thread : threads) {
            thread.join();
        }
        System.out.println("all have ended");
    }

    static void churn(int count) throws Exception {
        int ended = 0;
        Thread[] threads = new Thread[100];
        for (int round = 0; round < count / threads.length; round++) {
            for (int i = 0; i < threads.length; i++) {
                threads[i] = new Thread(() -> work++);
                threads[i].start();
            }
            for (Thread thread : threads) {
                thread.join();
                ended++;
            }
        }
        System.out.println(ended + " were started and joined");
    }
}
