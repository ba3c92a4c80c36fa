import java.lang.reflect.Method;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;

/** As many virtual threads at the same time as the argument says, all parked, then all running to their ends. By reflection: JDK 17 compiles it. */
public class VirtualThreads {
    public static void main(String[] args) throws Exception {
        int count = Integer.parseInt(args[0]);
        Method start = Thread.class.getMethod("startVirtualThread", Runnable.class);
        CountDownLatch arrived = new CountDownLatch(count);
        CountDownLatch go = new CountDownLatch(1);
        CountDownLatch ended = new CountDownLatch(count);
        AtomicInteger sum = new AtomicInteger();
        Runnable body = () -> {
            arrived.countDown();
            try {
                go.await();
            } catch (InterruptedException e) {
                return;
            }
            sum.incrementAndGet();
            Thread.yield();
            ended.countDown();
        };
        for (int i = 0; i < count; i++) {
            start.invoke(null, body);
        }
        arrived.await();
        System.out.println(count + " are there, " + sum + " have run");
        go.countDown();
        ended.await();
        System.out.println(sum + " have run");
    }
}
